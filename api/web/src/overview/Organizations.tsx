import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { CACHE, useApi } from "../api/context";
import type { OrganizationStatus, SyncStatus } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { useView } from "../frame/view";
import { counted, countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Time } from "../widgets/Time";
import { tell, tellError } from "../widgets/toasts";
import { useForecasts } from "./forecast";
import { PauseDialog } from "./PauseDialog";

const COLOURS = { healthy: "text-good", degraded: "text-attention", unhealthy: "text-failed" } as const;
const ICONS = { healthy: "synced", degraded: "warning", unhealthy: "failed" } as const;

/** Each organization: its health, its queue and its forecast; and pause, resume and sync now. */
export function Organizations({ status }: { status: SyncStatus }) {
  const [{ org }, change] = useView();
  const forecast = useForecasts();
  const [pausing, setPausing] = useState<OrganizationStatus | null>(null);
  return (
    <section aria-label="Organizations" tabIndex={0} className="panel mx-4 overflow-x-auto">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">Organization</th>
            <th scope="col">Health</th>
            <th scope="col">Queue</th>
            <th scope="col" className="number">
              Queued
            </th>
            <th scope="col" className="number">
              Syncing
            </th>
            <th scope="col" className="number">
              Completed, 24 h
            </th>
            <th scope="col" className="number">
              Conflicts
            </th>
            <th scope="col" className="number">
              Failed
            </th>
            <th scope="col">Last sync</th>
            <th scope="col">
              <span className="sr-only">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {status.organizations.map((row) => {
            const drain = forecast.data?.organizations.find(
              ({ organizationId }) => organizationId === row.organizationId,
            );
            const code = row.organizationCode ?? row.organizationId;
            return (
              <tr key={row.organizationId}>
                <td>
                  <button
                    type="button"
                    className="link"
                    aria-pressed={org === code}
                    onClick={() => change({ org: org === code ? undefined : code }, true)}
                  >
                    {code}
                  </button>
                </td>
                <td>
                  <span
                    className={`inline-flex items-center gap-1.5 ${COLOURS[row.health]}`}
                    title={row.healthReason ?? undefined}
                  >
                    <Icon name={ICONS[row.health]} size={14} />
                    {codeText(row.healthCode)}
                  </span>
                </td>
                <td>{drain?.sentence ?? "—"}</td>
                <td className="number">{countText(row.totalQueued)}</td>
                <td className="number">{countText(row.processing)}</td>
                <td className="number">{countText(row.completed)}</td>
                <td className={`number ${row.conflicts ? "text-attention" : ""}`}>{countText(row.conflicts)}</td>
                <td className={`number ${row.failed ? "text-failed" : ""}`}>{countText(row.failed)}</td>
                <td>{row.lastSyncAt ? <Time at={row.lastSyncAt} /> : "—"}</td>
                <td className="text-right whitespace-nowrap">
                  <OrganizationActions row={row} onPause={() => setPausing(row)} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {pausing && (
        <PauseDialog
          organizationId={pausing.organizationId}
          code={pausing.organizationCode ?? pausing.organizationId}
          waiting={pausing.totalQueued}
          onClose={() => setPausing(null)}
        />
      )}
    </section>
  );
}

function OrganizationActions({ row, onPause }: { row: OrganizationStatus; onPause: () => void }) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const mine = me.organizations.find(({ organizationId }) => organizationId === row.organizationId);
  const code = row.organizationCode ?? row.organizationId;
  const refresh = () => void cache.invalidateQueries({ queryKey: [CACHE] });
  const resume = async () => {
    try {
      const { organizations } = await api.send("post", "/api/pems/resume", {
        body: { organizationId: row.organizationId },
      });
      const waiting = organizations.reduce((sum, organization) => sum + organization.waiting, 0);
      tell(`Sending goes on for ${code}: ${counted(waiting, "change waits", "changes wait")}`, {
        action: { label: "Pause again", run: onPause },
      });
      refresh();
    } catch (error) {
      tellError(`${code} was not resumed`, error);
    }
  };
  const sync = async () => {
    try {
      const result = await api.send("post", "/api/pems/write-sync", {
        body: { organizationId: row.organizationId, priority: "high" },
      });
      tell(
        result.health
          ? `Nothing is sent now: ${result.health.replaceAll("_", " ")}`
          : counted(result.queuedCount, `change of ${code} is sent first`, `changes of ${code} are sent first`),
      );
      refresh();
    } catch (error) {
      tellError("The request failed", error);
    }
  };
  const manage = may("perm_ManageSettings", row.organizationId);
  const stopped = mine?.paused || mine?.held;
  return (
    <span className="inline-flex gap-1">
      <Button
        kind="text"
        reason={may("perm_Sync", row.organizationId) ?? (row.totalQueued === 0 ? "Nothing waits" : undefined)}
        onClick={sync}
        tip="Send what waits before other organizations"
      >
        Sync now
      </Button>
      {stopped ? (
        <Button reason={manage} onClick={resume} tip={mine?.pauseReason ?? undefined}>
          Resume
        </Button>
      ) : (
        <Button kind="text" reason={manage} onClick={onPause}>
          Pause
        </Button>
      )}
    </span>
  );
}
