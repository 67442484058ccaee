import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { reading, useApi } from "../../src/api/context";
import type { Job, JobProgress, Values } from "../../src/api/types";
import { useMay } from "../../src/frame/me";
import { JobKind } from "../../src/history/JobKind";
import { JOB_STATES } from "../../src/history/kinds";
import { Progress } from "../../src/history/Progress";
import { More } from "../../src/lists/More";
import { usePages } from "../../src/lists/usePages";
import { countText } from "../../src/plan/count";
import { fieldOf } from "../../src/plan/fields";
import { statusOf } from "../../src/plan/status";
import { valueText } from "../../src/plan/value";
import { Answered, Empty, Failed, Skeleton } from "../../src/widgets/Answered";
import { Button } from "../../src/widgets/Button";
import { StatusMark } from "../../src/widgets/StatusMark";
import { TableScroll } from "../../src/widgets/TableScroll";
import { Time } from "../../src/widgets/Time";
import { Scope, useHost } from "./Provider";
import { RollbackModal } from "./RollbackModal";

type Props = {
  /** Only jobs that concern this record. */
  pfaId?: string;
};

/** What users started in the organization, newest first; each opens to its progress, its changes and its rollback. */
export function SyncHistoryDashboard({ pfaId }: Props) {
  const { organization } = useHost();
  const [open, setOpen] = useState<string | null>(null);
  const [rollingBack, setRollingBack] = useState<string | null>(null);
  const list = usePages("/api/pems/jobs", { query: { organizationId: organization, pfaId, limit: 50 } });
  const jobs = list.data?.pages.flatMap((page) => page.jobs);
  return (
    <Scope>
      {!jobs ? (
        list.error ? (
          <Failed error={list.error} onRetry={() => void list.refetch()} />
        ) : (
          <Skeleton />
        )
      ) : jobs.length === 0 ? (
        <Empty title="Nothing has been committed yet" />
      ) : (
        <TableScroll label="Jobs">
          <table className="data-table">
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col">State</th>
                <th scope="col" className="number">
                  Records
                </th>
                <th scope="col">By</th>
                <th scope="col">Started</th>
              </tr>
            </thead>
            <tbody>
              {jobs.map((job) => (
                <JobRows
                  key={job.jobId}
                  job={job}
                  isOpen={open === job.jobId}
                  onToggle={() => setOpen(open === job.jobId ? null : job.jobId)}
                  onRollBack={() => setRollingBack(job.jobId)}
                />
              ))}
            </tbody>
          </table>
        </TableScroll>
      )}
      <More query={list} />
      {rollingBack && <RollbackModal jobId={rollingBack} onClose={() => setRollingBack(null)} onStarted={setOpen} />}
    </Scope>
  );
}

function JobRows({
  job,
  isOpen,
  onToggle,
  onRollBack,
}: {
  job: Job;
  isOpen: boolean;
  onToggle: () => void;
  onRollBack: () => void;
}) {
  const may = useMay();
  return (
    <>
      <tr>
        <td>
          <Button kind="text" aria-expanded={isOpen} onClick={onToggle}>
            <JobKind kind={job.kind} /> {job.jobId}
          </Button>
        </td>
        <td>{JOB_STATES[job.state] ?? job.state}</td>
        <td className="number">{countText(job.records)}</td>
        <td>{job.userName}</td>
        <td>
          <Time at={job.createdAt} />
        </td>
      </tr>
      {isOpen && (
        <tr>
          <td colSpan={5} className="bg-panel py-2!">
            <JobDetail jobId={job.jobId} />
            {job.inverses.includes("rollback") && (
              <Button className="mt-2" reason={may("perm_ManageSettings", job.organizationId)} onClick={onRollBack}>
                Roll back…
              </Button>
            )}
          </td>
        </tr>
      )}
    </>
  );
}

function JobDetail({ jobId }: { jobId: string }) {
  const { onIntent } = useHost();
  const query = useQuery(reading(useApi(), "/api/pems/jobs/{jobId}", { path: { jobId } }));
  const changes = usePages("/api/pems/jobs/{jobId}/changes", { path: { jobId }, query: { limit: 50 } });
  return (
    <Answered query={query} rows={2}>
      {(data) => (
        <div className="flex flex-col gap-2">
          <Progress job={data as JobProgress} />
          <ul className="flex flex-col gap-1">
            {changes.data?.pages
              .flatMap((page) => page.changes)
              .map((change) => (
                <li key={change.queueId} className="flex flex-wrap gap-x-3">
                  <button
                    type="button"
                    className="link"
                    onClick={() =>
                      onIntent?.({ kind: "record", organizationId: change.organizationId, pfaId: change.pfaId })
                    }
                  >
                    {change.pfaId}
                  </button>
                  <StatusMark status={statusOf(change.status)} />
                  <span>
                    {Object.entries((change.changes ?? {}) as Values)
                      .map(([name, value]) => `${fieldOf(name).label} ${valueText(fieldOf(name), value)}`)
                      .join(", ")}
                  </span>
                  {change.lastError && <span className="text-failed">{change.lastError}</span>}
                </li>
              ))}
          </ul>
          <More query={changes} />
        </div>
      )}
    </Answered>
  );
}
