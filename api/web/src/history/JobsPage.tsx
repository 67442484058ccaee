import { Link } from "@tanstack/react-router";
import { useCodeOf, useMe } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { FilterBar } from "../lists/FilterBar";
import { More } from "../lists/More";
import { SavedViews } from "../lists/SavedViews";
import { usePages } from "../lists/usePages";
import { countText } from "../plan/count";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Page } from "../widgets/Page";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { Batches } from "./Batches";
import { JobKind } from "./JobKind";
import { JOB_KINDS, JOB_STATES } from "./kinds";

/** What users started, newest first; or what relays sent together. */
export function JobsPage() {
  const [view, change] = useView();
  const me = useMe();
  const isBatches = view.show === "batches";
  return (
    <Page
      title="History"
      aside={
        <>
          <SavedViews page="history" />
          <div className="flex gap-1">
            <Button
              kind={isBatches ? "quiet" : "plain"}
              aria-pressed={!isBatches}
              onClick={() => change({ show: undefined }, true)}
            >
              Jobs
            </Button>
            <Button
              kind={isBatches ? "plain" : "quiet"}
              aria-pressed={isBatches}
              onClick={() => change({ show: "batches" }, true)}
            >
              Batches to PEMS
            </Button>
          </div>
        </>
      }
    >
      <FilterBar
        view={view}
        onChange={change}
        entries={[
          ...(isBatches
            ? []
            : (
                [
                  { name: "kind", label: "Kind", kind: "choice", options: Object.entries(JOB_KINDS) },
                  { name: "jobState", label: "State", kind: "choice", options: Object.entries(JOB_STATES) },
                  { name: "by", label: "User", kind: "choice", options: [[me.userId, "me"]] },
                ] as const
              ).map((entry) => ({
                ...entry,
                options: entry.options.map(([value, label]): [string, string] => [value, label]),
              }))),
          { name: "pfaId", label: "PFA", kind: "text" },
          { name: "since", label: "From", kind: "date" },
          { name: "until", label: "Until", kind: "date" },
        ]}
      />
      {isBatches ? <Batches /> : <Jobs />}
    </Page>
  );
}

function Jobs() {
  const [view] = useView();
  const organization = useOrganization();
  const codeOf = useCodeOf();
  const list = usePages("/api/pems/jobs", {
    query: {
      organizationId: organization?.organizationId,
      kind: view.kind as never,
      state: view.jobState as never,
      userId: view.by,
      pfaId: view.pfaId,
      startDate: view.since && `${view.since}T00:00:00Z`,
      endDate: view.until && `${view.until}T23:59:59.999Z`,
      limit: 100,
    },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const jobs = list.data.pages.flatMap((page) => page.jobs);
  if (jobs.length === 0)
    return <Empty title="No job matches">Commits, edits, resolutions, resends and rollbacks are listed here.</Empty>;
  return (
    <TableScroll label="Jobs" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">Kind</th>
            <th scope="col">Organization</th>
            <th scope="col" className="number">
              Records
            </th>
            <th scope="col">State</th>
            <th scope="col">By</th>
            <th scope="col">Started</th>
            <th scope="col">Reason</th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <tr key={job.jobId}>
              <td>
                <Link
                  to="/history/$jobId"
                  params={{ jobId: job.jobId }}
                  search={{ org: view.org } as never}
                  className="link font-medium"
                >
                  {job.jobId}
                </Link>
              </td>
              <td>
                <JobKind kind={job.kind} />
              </td>
              <td>{codeOf(job.organizationId)}</td>
              <td className="number">{countText(job.records)}</td>
              <td className={job.state === "stopped" ? "text-attention" : ""}>{JOB_STATES[job.state] ?? job.state}</td>
              <td>{job.userName}</td>
              <td>
                <Time at={job.createdAt} />
              </td>
              <td className="max-w-72 truncate">{job.reason ?? ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}
