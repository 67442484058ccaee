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
};

export const JOB_STATES: Record<string, string> = { running: "Running", stopped: "Stopped", finished: "Finished" };
