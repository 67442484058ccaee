import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { QueuedChange, Values } from "../api/types";
import { useCodeOf } from "../frame/me";
import { More } from "../lists/More";
import { usePages } from "../lists/usePages";
import { fieldOf } from "../plan/fields";
import { statusOf } from "../plan/status";
import { valueText } from "../plan/value";
import { Answered, Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { durationText } from "../widgets/clock";
import { StatusMark } from "../widgets/StatusMark";
import { TableScroll } from "../widgets/TableScroll";
import { Time } from "../widgets/Time";
import { Data } from "./Data";

/** The changes of a job and how each ended; its attempts at PEMS open below it. */
export function JobChanges({ jobId, organizationId }: { jobId: string; organizationId: string }) {
  const [open, setOpen] = useState<string | null>(null);
  const list = usePages("/api/pems/jobs/{jobId}/changes", { path: { jobId }, query: { limit: 200 } });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const changes = list.data.pages.flatMap((page) => page.changes);
  if (changes.length === 0) return <Empty title="No changes">This job has queued nothing.</Empty>;
  return (
    <TableScroll label="Changes of the job" className="border-t border-line">
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col">PFA</th>
            <th scope="col">Status</th>
            <th scope="col">Change</th>
            <th scope="col">Author</th>
            <th scope="col" className="number">
              Retries
            </th>
            <th scope="col">Queued</th>
            <th scope="col">Ended after</th>
            <th scope="col">
              <span className="sr-only">Attempts</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {changes.map((change) => (
            <ChangeRows
              key={change.queueId}
              change={change}
              organizationId={organizationId}
              isOpen={open === change.queueId}
              onToggle={() => setOpen(open === change.queueId ? null : change.queueId)}
            />
          ))}
        </tbody>
      </table>
      <More query={list} />
    </TableScroll>
  );
}

function ChangeRows({
  change,
  organizationId,
  isOpen,
  onToggle,
}: {
  change: QueuedChange;
  organizationId: string;
  isOpen: boolean;
  onToggle: () => void;
}) {
  const codeOf = useCodeOf();
  const fields = Object.entries((change.changes ?? {}) as Values);
  return (
    <>
      <tr>
        <td>
          <Link
            to="/records/$pfaId"
            params={{ pfaId: change.pfaId }}
            search={{ org: codeOf(organizationId) } as never}
            className="link"
          >
            {change.pfaId}
          </Link>
        </td>
        <td>
          <StatusMark status={statusOf(change.status)} />
          {change.lastError && (
            <span className="block max-w-md text-xs break-words text-failed">{change.lastError}</span>
          )}
        </td>
        <td>
          {change.operation === "DELETE"
            ? "soft delete"
            : fields.map(([name, value]) => `${fieldOf(name).label} ${valueText(fieldOf(name), value)}`).join(", ")}
        </td>
        <td>{change.authorName}</td>
        <td className="number">{change.retryCount}</td>
        <td>
          <Time at={change.createdAt} />
        </td>
        <td>
          {change.completedAt
            ? durationText((Date.parse(change.completedAt) - Date.parse(change.createdAt)) / 1000)
            : "—"}
        </td>
        <td className="text-right">
          <Button kind="text" aria-expanded={isOpen} onClick={onToggle}>
            Attempts
          </Button>
        </td>
      </tr>
      {isOpen && (
        <tr>
          <td colSpan={8} className="bg-panel py-2!">
            <Attempts queueId={change.queueId} />
          </td>
        </tr>
      )}
    </>
  );
}

/** Every attempt of a change, and what PEMS answered. */
export function Attempts({ queueId }: { queueId: string }) {
  const query = useQuery(reading(useApi(), "/api/pems/changes/{queueId}/attempts", { path: { queueId } }));
  return (
    <Answered query={query} rows={2}>
      {({ attempts }) =>
        attempts.length === 0 ? (
          <p className="text-secondary">Not sent yet: PEMS held the values already, or it waits.</p>
        ) : (
          <ol className="flex flex-col gap-2">
            {attempts.map((attempt) => (
              <li key={attempt.attempt}>
                <p>
                  Attempt {attempt.attempt}, <Time at={attempt.askedAt} absolute />:{" "}
                  {attempt.success == null
                    ? "in flight, or its outcome is not known"
                    : attempt.success
                      ? "confirmed"
                      : "not confirmed"}
                  {attempt.answeredAt &&
                    ` after ${durationText((Date.parse(attempt.answeredAt) - Date.parse(attempt.askedAt)) / 1000)}`}
                  {attempt.errorMessage && <span className="text-failed">. {attempt.errorMessage}</span>}
                </p>
                <div className="flex flex-wrap gap-4">
                  <Data label="Request" value={attempt.request} />
                  <Data label="PEMS' answer" value={attempt.response} />
                </div>
              </li>
            ))}
          </ol>
        )
      }
    </Answered>
  );
}
