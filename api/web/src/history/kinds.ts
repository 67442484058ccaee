import type { IconName } from "../widgets/icons";

/** The kinds of jobs, in words. */
export const JOB_KINDS: Record<string, string> = {
  commit: "Commit",
  sweep: "Changes found",
  write_sync: "Sync now",
  resolution: "Conflicts resolved",
  requeue: "Failures resent",
  discard: "Failures discarded",
  withdraw: "Changes withdrawn",
  rollback: "Rollback",
  undo: "Undo",
  edit: "Drafts edited",
};

export const JOB_ICONS: Record<string, IconName> = {
  commit: "queued",
  sweep: "search",
  write_sync: "syncing",
  resolution: "conflict",
  requeue: "syncing",
  discard: "discarded",
  withdraw: "withdrawn",
  rollback: "history",
  undo: "withdrawn",
  edit: "draft",
};

export const JOB_STATES: Record<string, string> = { running: "Running", stopped: "Stopped", finished: "Finished" };
