import type { Notification } from "../api/types";
import { counted, countText } from "../plan/count";
import { codeText } from "../plan/status";

const TONES: Record<string, "done" | "failed" | "info"> = {
  synced: "done",
  recovered: "done",
  resolved: "done",
  alert_resolved: "done",
  failed: "failed",
  dead_letters: "failed",
  alert: "failed",
  conflict: "failed",
};

/** How a notification looks. */
export function toneOf({ kind }: Notification): "done" | "failed" | "info" {
  return TONES[kind] ?? "info";
}

/** A notification in a sentence. What is alike is one sentence with its number. */
export function wordsOf({ kind, number, code, pfaIds }: Notification): string {
  const records = number > 1 ? `${countText(number)} changes` : pfaIds[0] ? `record ${pfaIds[0]}` : "a record";
  const cause = code ? codeText(code) : "";
  const sentences: Record<string, string> = {
    synced: number === 1 ? `Your edit of ${records} is in PEMS` : `${records} of yours are in PEMS`,
    recovered:
      number === 1 ? `Your edit of ${records} is in PEMS after all` : `${records} of yours are in PEMS after all`,
    stored_differently: `PEMS stores ${number === 1 ? "another value" : "other values"} for ${records} than you sent`,
    conflict: number === 1 ? `Your edit of ${records} conflicts with PEMS` : `${records} of yours conflict with PEMS`,
    failed: `${number === 1 ? `Your edit of ${records}` : `${records} of yours`} failed for good${cause ? `: ${cause}` : ""}`,
    resolved:
      number === 1 ? `The conflict of ${records} is resolved` : `${countText(number)} conflicts of yours are resolved`,
    withdrawn: number === 1 ? `Your edit of ${records} was withdrawn` : `${records} of yours were withdrawn`,
    dead_letters: `${counted(number, "change has", "changes have")} failed for good${cause ? `: ${cause}` : ""}`,
    alert: `Alert: ${cause}${number > 1 ? ` (${countText(number)} times)` : ""}`,
    alert_resolved: `Resolved: ${cause}`,
    credentials: `Credentials: ${cause || "something has changed"}`,
  };
  return sentences[kind] ?? codeText(kind);
}

/** The page that a notification leads to. */
export function placeOf(notification: Notification): {
  to: string;
  params?: Record<string, string>;
  search?: Record<string, string>;
} {
  const { kind, pfaIds, jobId } = notification;
  if (kind === "conflict") return { to: "/conflicts" };
  if (kind === "failed" || kind === "dead_letters") return { to: "/failures" };
  if (kind === "alert" || kind === "alert_resolved") return { to: "/alerts" };
  if (kind === "credentials") return { to: "/administration", search: { tab: "credentials" } };
  if (notification.number === 1 && pfaIds[0]) return { to: "/records/$pfaId", params: { pfaId: pfaIds[0] } };
  return jobId ? { to: "/history/$jobId", params: { jobId } } : { to: "/records" };
}
