import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { address } from "../api/client";
import { useApi } from "../api/context";
import type { AuditEntry } from "../api/types";
import { useCodeOf, useMay, useMe } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { Data } from "../history/Data";
import { FilterBar } from "../lists/FilterBar";
import { More } from "../lists/More";
import { SavedViews } from "../lists/SavedViews";
import { usePages } from "../lists/usePages";
import { codeText } from "../plan/status";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { tellError } from "../widgets/toasts";
import { EVENT_TYPES } from "./events";

/** The log: what happened, when, by whom; filtered, and as a file. */
export function AuditPage() {
  const api = useApi();
  const me = useMe();
  const may = useMay();
  const organization = useOrganization();
  const [view, change] = useView();
  const [isExporting, setExporting] = useState(false);
  const query = {
    // Without an organization, the log is that of an administrator; others see that of their first one.
    organizationId:
      organization?.organizationId ?? (me.role === "admin" ? undefined : me.organizations[0]?.organizationId),
    eventType: view.type,
    userId: view.by,
    pfaId: view.pfaId,
    startDate: view.since && `${view.since}T00:00:00Z`,
    endDate: view.until && `${view.until}T23:59:59.999Z`,
  };
  const list = usePages("/api/pems/audit", { query: { ...query, limit: 100 } });
  const save = async () => {
    setExporting(true);
    try {
      const response = await api.fetch(address("/api/pems/audit.csv", {}, query), { method: "GET" });
      const url = URL.createObjectURL(await response.blob());
      const link = Object.assign(document.createElement("a"), {
        href: url,
        download: `audit-${new Date().toISOString().slice(0, 10)}.csv`,
      });
      link.click();
      URL.revokeObjectURL(url);
    } catch (error) {
      tellError("The log was not exported", error);
    } finally {
      setExporting(false);
    }
  };
  return (
    <Page
      title="Audit log"
      aside={
        <>
          <SavedViews page="audit" />
          <Button
            reason={may("perm_Export", query.organizationId) ?? (isExporting ? "It is being written" : undefined)}
            onClick={() => void save()}
          >
            <Icon name="download" size={15} /> CSV
          </Button>
        </>
      }
    >
      <FilterBar
        view={view}
        onChange={change}
        entries={[
          { name: "type", label: "Event", kind: "choice", options: EVENT_TYPES.map((type) => [type, codeText(type)]) },
          { name: "by", label: "User", kind: "choice", options: [[me.userId, "me"]] },
          { name: "pfaId", label: "PFA", kind: "text" },
          { name: "since", label: "From", kind: "date" },
          { name: "until", label: "Until", kind: "date" },
        ]}
      />
      <Entries list={list} />
    </Page>
  );
}

function Entries({ list }: { list: ReturnType<typeof usePages<"/api/pems/audit">> }) {
  if (!list.data)
    return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton rows={12} />;
  const entries = list.data.pages.flatMap((page) => page.entries);
  if (entries.length === 0) return <Empty title="No entry matches" />;
  return (
    <TableScroll label="Entries of the log" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Event</th>
            <th scope="col">Organization</th>
            <th scope="col">PFA</th>
            <th scope="col">User</th>
            <th scope="col">Job</th>
            <th scope="col">Message</th>
            <th scope="col">Data</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <Entry key={entry.eventId} entry={entry} />
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}

function Entry({ entry }: { entry: AuditEntry }) {
  const codeOf = useCodeOf();
  const code = codeOf(entry.organizationId);
  return (
    <tr>
      <td>
        <Time at={entry.at} absolute />
      </td>
      <td className={entry.success === false ? "text-failed" : ""}>{codeText(entry.eventType)}</td>
      <td>{code || "—"}</td>
      <td>
        {entry.pfaId ? (
          <Link to="/records/$pfaId" params={{ pfaId: entry.pfaId }} search={{ org: code } as never} className="link">
            {entry.pfaId}
          </Link>
        ) : (
          "—"
        )}
      </td>
      <td>{entry.userName ?? entry.userId ?? "—"}</td>
      <td>
        {entry.jobId ? (
          <Link to="/history/$jobId" params={{ jobId: entry.jobId }} className="link">
            {entry.jobId}
          </Link>
        ) : (
          "—"
        )}
      </td>
      <td className="max-w-md break-words">{entry.errorMessage}</td>
      <td className="py-1">
        <Data label="Changes" value={entry.changes} />
        <Data label="PEMS' answer" value={entry.pemsResponse} />
      </td>
    </tr>
  );
}
