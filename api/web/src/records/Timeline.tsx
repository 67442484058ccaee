import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { TimelineEvent } from "../api/types";
import { useMay } from "../frame/me";
import { useView } from "../frame/view";
import { Data } from "../history/Data";
import { codeText, sentence } from "../plan/status";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon, type IconName } from "../widgets/icons";
import { Time } from "../widgets/Time";
import { RestoreVersion } from "./RestoreVersion";

const MARKS: Record<string, [icon: IconName, tone: string]> = {
  COMMITTED: ["queued", "text-link"],
  WRITE_ATTEMPT: ["syncing", "text-secondary"],
  WRITE_FAILED: ["warning", "text-attention"],
  SYNCED: ["synced", "text-good"],
  CONFLICT_DETECTED: ["conflict", "text-attention"],
  CONFLICT_RESOLVED: ["conflict", "text-good"],
  DEAD_LETTER: ["failed", "text-failed"],
  DISCARDED: ["discarded", "text-secondary"],
  WITHDRAWN: ["withdrawn", "text-secondary"],
  ROLLBACK: ["withdrawn", "text-attention"],
};

type Group = { first: TimelineEvent; retries: TimelineEvent[] };

/** The story of a record: a sentence for each event, its data on demand, and a way back to an earlier version. */
export function Timeline({
  pfaId,
  organizationId,
  version,
}: {
  pfaId: string;
  organizationId: string;
  version: number;
}) {
  const [view, change] = useView();
  const may = useMay();
  const [isRestoring, setRestoring] = useState(false);
  const query = useQuery(
    reading(useApi(), "/api/pems/records/{pfaId}/timeline", { path: { pfaId }, query: { organizationId } }),
  );
  const oldestFirst = view.oldest === "1";
  return (
    <section aria-label="Timeline" className="panel min-w-0">
      <header className="flex flex-wrap items-center justify-between gap-2 border-b border-line px-3 py-1.5">
        <h2 className="font-medium">Timeline</h2>
        <span className="flex gap-1">
          <Button
            kind="text"
            aria-pressed={oldestFirst}
            onClick={() => change({ oldest: oldestFirst ? undefined : "1" })}
          >
            {oldestFirst ? "Newest first" : "Oldest first"}
          </Button>
          <Button
            reason={
              may("perm_ManageSettings", organizationId) ?? (version < 2 ? "There is no earlier version" : undefined)
            }
            onClick={() => setRestoring(true)}
          >
            Restore a version…
          </Button>
        </span>
      </header>
      <Answered query={query}>
        {({ events }) => {
          const groups = folded(
            [...events].sort(
              (one, other) =>
                Date.parse(one.at) - Date.parse(other.at) || Number(BigInt(one.eventId) - BigInt(other.eventId)),
            ),
          );
          if (groups.length === 0) return <Empty title="Nothing has happened to this record here yet" />;
          return (
            <ol className="flex flex-col px-3 py-2">
              {(oldestFirst ? groups : groups.toReversed()).map((group) => (
                <Entry key={group.first.eventId} {...group} />
              ))}
            </ol>
          );
        }}
      </Answered>
      {isRestoring && (
        <RestoreVersion
          pfaId={pfaId}
          organizationId={organizationId}
          version={version}
          onClose={() => setRestoring(false)}
        />
      )}
    </section>
  );
}

/** Attempts that failed one after the other are one entry. */
export function folded(events: TimelineEvent[]): Group[] {
  const groups: Group[] = [];
  for (const event of events) {
    const last = groups.at(-1);
    const isRetry = (type: string) => type === "WRITE_FAILED" || type === "WRITE_ATTEMPT";
    if (
      last &&
      isRetry(event.eventType) &&
      isRetry(last.first.eventType) &&
      last.first.queueId === event.queueId &&
      hasFailed(last)
    )
      last.retries.push(event);
    else groups.push({ first: event, retries: [] });
  }
  return groups;
}

function hasFailed({ first, retries }: Group): boolean {
  return [first, ...retries].some(({ eventType }) => eventType === "WRITE_FAILED");
}

function Entry({ first, retries }: Group) {
  const [{ org }] = useView();
  const [icon, tone] = MARKS[first.eventType] ?? ["info", "text-secondary"];
  const failures = [first, ...retries].filter(({ eventType }) => eventType === "WRITE_FAILED").length;
  return (
    <li className="relative flex gap-3 pb-3 pl-1 before:absolute before:top-6 before:bottom-0 before:left-[11px] before:w-px before:bg-line last:before:hidden">
      <Icon name={icon} size={16} className={`mt-0.5 shrink-0 ${tone}`} />
      <div className="min-w-0 grow">
        <p className="break-words">{first.sentence ? sentence(first.sentence) : codeText(first.eventType)}</p>
        {failures > 1 && <p className="text-secondary">{failures} tries failed, one after the other</p>}
        {first.reason && <p className="break-words text-secondary">Reason: {first.reason}</p>}
        {first.errorMessage && first.errorMessage !== first.reason && !first.sentence?.includes(first.errorMessage) && (
          <p className="break-words text-failed">{first.errorMessage}</p>
        )}
        <p className="flex flex-wrap gap-x-3 text-xs text-secondary">
          <Time at={first.at} />
          {first.jobId && (
            <Link to="/history/$jobId" params={{ jobId: first.jobId }} search={{ org } as never} className="link">
              Job {first.jobId}
            </Link>
          )}
        </p>
        <div className="flex flex-wrap gap-4">
          <Data label="Values" value={first.fromTo ?? first.changes} />
          <Data label="PEMS' answer" value={first.pemsResponse} />
          {retries.length > 0 && (
            <Data
              label="Tries"
              value={retries.map(({ at, sentence, eventType }) => `${at} ${sentence ?? eventType}`).join("\n")}
            />
          )}
        </div>
      </div>
    </li>
  );
}
