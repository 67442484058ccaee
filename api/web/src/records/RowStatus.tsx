import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import type { RecordRow, WholeRecord } from "../api/types";
import { fieldOf } from "../plan/fields";
import { STATUSES, type Status } from "../plan/status";
import { momentText, relativeTime, useNow } from "../widgets/clock";

/** What a status means for a record: whose changes they are, of which fields, since when, and what comes next. */
export function RowStatus({ row, organizationId }: { row: RecordRow; organizationId: string }) {
  const api = useApi();
  const now = useNow();
  const isChanged = row.states.some((state) => state !== "synced");
  const whole = useQuery({
    ...reading(api, "/api/pfa-data/records/{pfaId}", { path: { pfaId: row.pfaId }, query: { organizationId } }),
    enabled: isChanged,
  });
  const record = whole.data as unknown as WholeRecord | undefined;
  const names = (fields: string[]) => fields.map((name) => fieldOf(name).label).join(", ");
  const age = (at: string) => relativeTime(Date.parse(at), now);
  return (
    <div className="flex flex-col gap-1 text-left">
      {row.states.map((state) => (
        <span key={state}>
          <strong>{STATUSES[state as Status]?.word ?? state}</strong>: {STATUSES[state as Status]?.meaning}
        </span>
      ))}
      {record?.draft && (
        <span>
          Your draft of {names(Object.keys(record.draft.delta))}, {age(record.draft.savedAt)}
        </span>
      )}
      {record?.others.map((other) => (
        <span key={other.modificationId}>
          {other.userName}: {other.state}, {names(other.fields)}, {age(other.changedAt)}
        </span>
      ))}
      {record?.queue.map((entry) => (
        <span key={entry.queueId}>
          {entry.authorName}: {names(Object.keys(entry.changes ?? {}))}
          {entry.retryCount ? `, try ${entry.retryCount + 1}` : ""}
          {entry.scheduledAt && Date.parse(entry.scheduledAt) > now
            ? `, next try ${momentText(Date.parse(entry.scheduledAt))}`
            : ""}
          {entry.lastError ? `, ${entry.lastError}` : ""}
        </span>
      ))}
      {!record && isChanged && row.authors.length > 0 && (
        <span>By {row.authors.map(({ userName }) => userName).join(", ")}</span>
      )}
    </div>
  );
}
