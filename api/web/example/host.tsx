import { useState } from "react";
import { createRoot } from "react-dom/client";
import {
  ConflictResolutionModal,
  type Intent,
  PfaSyncProvider,
  RollbackModal,
  SyncHistoryDashboard,
  SyncNotifications,
  SyncStatusIndicator,
  useSyncStatus,
} from "../package/src/index";
import "../package/styles.css";
import "./host.css";

/** A host names the service, the organization and the records in its address: ?api=…&org=…&pfa=1,2#token=… */
const address = new URLSearchParams(location.search);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const records = (address.get("pfa") ?? "").split(",").filter(Boolean);
const getToken = () => token;

function Host() {
  const [intent, setIntent] = useState<Intent | null>(null);
  const [isMounted, setMounted] = useState(false);
  const [rollback, setRollback] = useState<string | null>(null);
  const theme = address.get("theme") === "dark" ? "dark" : "light";
  return (
    <main>
      <h1>Equipment of the host</h1>
      <p id="text">
        This page has a style of its own. <a href="#grid">Equipment</a> and a button:{" "}
        <button type="button">Own button</button>
      </p>
      <button type="button" id="mount" onClick={() => setMounted(!isMounted)}>
        {isMounted ? "Unmount" : "Mount"} the components
      </button>
      {isMounted && (
        <PfaSyncProvider
          baseUrl={address.get("api") ?? ""}
          getToken={getToken}
          organization={address.get("org") ?? "RIO"}
          theme={theme}
          onIntent={setIntent}
        >
          <SyncNotifications />
          <Grid />
          <SyncHistoryDashboard />
          {intent?.kind === "conflict" && (
            <ConflictResolutionModal conflictId={intent.conflictId} onClose={() => setIntent(null)} />
          )}
          {rollback && <RollbackModal jobId={rollback} onClose={() => setRollback(null)} />}
        </PfaSyncProvider>
      )}
      <p id="intent">{intent ? JSON.stringify(intent) : "no intent"}</p>
    </main>
  );
}

/** A table of the host, with a status in each row by one hook. */
function Grid() {
  const statuses = useSyncStatus(records);
  return (
    <table id="grid">
      <caption>{[...statuses.values()].filter(({ status }) => status === "synced").length} are synced</caption>
      <tbody>
        {records.map((pfaId) => (
          <tr key={pfaId}>
            <th scope="row">{pfaId}</th>
            <td>
              <SyncStatusIndicator pfaId={pfaId} status={statuses.get(pfaId)} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

document.body.classList.toggle("dark", address.get("theme") === "dark");
const host = document.getElementById("host");
if (host) createRoot(host).render(<Host />);
