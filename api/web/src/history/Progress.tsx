import type { JobProgress } from "../api/types";
import { countText } from "../plan/count";

type Part = { label: string; count: number; colour: string };

/** How far a job has come, as a bar and in numbers. */
export function Progress({ job, slim }: { job: JobProgress; slim?: boolean }) {
  const parts = partsOf(job);
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return <span className="text-secondary">It has no changes of its own.</span>;
  const left = (job.items?.waiting ?? 0) + job.pending + job.processing;
  const done = total - left;
  return (
    <div className="flex flex-col gap-1.5">
      <div
        role="progressbar"
        aria-label={`Job ${job.jobId}`}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={done}
        aria-valuetext={`${countText(done)} of ${countText(total)}`}
        className="flex h-2 overflow-hidden rounded-full bg-hover"
      >
        {parts.map(({ label, count, colour }) => (
          <span key={label} className={colour} style={{ width: `${(count / total) * 100}%` }} />
        ))}
      </div>
      {!slim && (
        <p className="flex flex-wrap gap-x-4">
          {parts
            .filter(({ count }) => count > 0)
            .map(({ label, count, colour }) => (
              <span key={label} className="flex items-center gap-1.5">
                <span aria-hidden="true" className={`size-2 rounded-full ${colour || "bg-hover"}`} />
                {countText(count)} {label}
              </span>
            ))}
        </p>
      )}
    </div>
  );
}

/** A job with items is counted by those until they are done, then by the changes that it made. */
function partsOf(job: JobProgress): Part[] {
  const made = job.pending + job.processing + job.completed + job.conflict + job.failed + job.withdrawn;
  const items = job.items;
  const own: Part[] = items
    ? [
        ...(made === 0 ? [{ label: "done", count: items.done, colour: "bg-good" }] : []),
        { label: "failed", count: items.failed, colour: "bg-failed" },
        { label: "left out", count: items.skipped, colour: "bg-control" },
        { label: "waiting for their turn", count: items.waiting, colour: "" },
      ]
    : [];
  return [
    { label: "synced", count: job.completed, colour: "bg-good" },
    { label: "syncing", count: job.processing, colour: "bg-link" },
    { label: "in conflict", count: job.conflict, colour: "bg-attention-line" },
    { label: "failed in PEMS", count: job.failed, colour: "bg-failed" },
    { label: "withdrawn", count: job.withdrawn, colour: "bg-control" },
    { label: "queued", count: job.pending, colour: "" },
    ...own,
  ];
}
