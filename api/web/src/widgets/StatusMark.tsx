import type { ReactNode } from "react";
import { STATUSES, type Status } from "../plan/status";
import { Icon } from "./icons";
import { Tip } from "./Tip";

const COLOURS: Record<Status, string> = {
  draft: "text-link",
  queued: "text-secondary",
  syncing: "text-link",
  synced: "text-good",
  conflict: "text-attention",
  failed: "text-failed",
  paused: "text-attention",
  held: "text-attention",
  withdrawn: "text-secondary",
  discarded: "text-secondary",
};

/** A status as icon, word and colour, the same on every page. */
export function StatusMark({ status, also, tip }: { status: Status; also?: Status[]; tip?: ReactNode }) {
  const others = (also ?? []).filter((other) => other !== status);
  const mark = (
    <span className={`inline-flex items-center gap-1.5 align-middle leading-none whitespace-nowrap ${COLOURS[status]}`}>
      <Icon name={status} size={14} className={status === "syncing" ? "turning" : undefined} />
      {STATUSES[status].word}
      {others.length > 0 && (
        <span className="text-xs text-secondary">
          +{others.map((other) => STATUSES[other].word.toLowerCase()).join(", ")}
        </span>
      )}
    </span>
  );
  if (tip === undefined) return mark;
  return (
    <Tip text={tip}>
      <button type="button" tabIndex={-1} className="cursor-default rounded">
        {mark}
      </button>
    </Tip>
  );
}
