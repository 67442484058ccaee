/** What a record or a change is, in the words that every page uses. */
export const STATUSES = {
  draft: { word: "Draft", meaning: "Saved here; not committed" },
  queued: { word: "Queued", meaning: "Committed; waits to be sent to PEMS" },
  syncing: { word: "Syncing", meaning: "Is being written to PEMS" },
  synced: { word: "Synced", meaning: "PEMS has it" },
  conflict: { word: "Conflict", meaning: "PEMS has another value; a person decides" },
  failed: { word: "Failed", meaning: "PEMS refused it, or its tries are used up" },
  paused: { word: "Paused", meaning: "Waits: sending is paused" },
  held: { word: "Held", meaning: "Waits: PEMS refused the credentials" },
  withdrawn: { word: "Withdrawn", meaning: "Taken back before it was sent" },
  discarded: { word: "Discarded", meaning: "Given up" },
} as const;

export type Status = keyof typeof STATUSES;

/** The order of attention: what waits for a person comes first. */
const URGENCY: Status[] = ["failed", "conflict", "syncing", "queued", "draft", "synced"];

/** The status that stands for a record which has several. */
export function leading(states: string[]): Status {
  return URGENCY.find((status) => states.includes(status)) ?? "synced";
}

const WORDS: Record<string, Status> = {
  pending: "queued",
  processing: "syncing",
  completed: "synced",
  committed: "queued",
  sync_error: "failed",
};

/** The status of a word of the service, such as `pending`. */
export function statusOf(word: string): Status {
  return word in STATUSES ? (word as Status) : (WORDS[word] ?? "queued");
}

/** A code of the service, such as `CHANGED_IN_PEMS` or `pems_down`, in words. */
export function codeText(code: string): string {
  return sentence(
    code
      .replaceAll("_", " ")
      .toLowerCase()
      .replace(/\bpems\b/g, "PEMS"),
  );
}

/** A text of the service, with a capital first letter. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
