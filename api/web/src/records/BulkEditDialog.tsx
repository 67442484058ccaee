import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import type { DraftFault, EditPreview, MyOrganization, RecordEdit, Value } from "../api/types";
import { JobLink } from "../history/JobLink";
import { stopJob } from "../history/stop";
import { readAmount } from "../plan/amount";
import { CostChange } from "../plan/CostChange";
import { counted, countText } from "../plan/count";
import { Entry } from "../plan/Entry";
import { FIELDS, fieldOf, reasonLocked } from "../plan/fields";
import { valueText } from "../plan/value";
import { Answered, Failed } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { tell } from "../widgets/toasts";
import { useDebounced } from "../widgets/useDebounced";
import type { Selection } from "./selection";

const DATES: [string, string][] = [
  ["forecastStart,forecastEnd", "forecast start and end"],
  ["forecastStart", "forecast start"],
  ["forecastEnd", "forecast end"],
];
const TITLES = { shift: "Shift dates", rate: "Change rates and prices", set: "Set a field" };

type Props = {
  kind: "shift" | "rate" | "set";
  organization: MyOrganization;
  selection: Selection;
  count: number;
  onClose: (changed: boolean) => void;
};

/** Changes many records in one way: shows what it makes of them, then starts the job that saves the drafts. */
export function BulkEditDialog({ kind, organization, selection, count, onClose }: Props) {
  const api = useApi();
  const cache = useQueryClient();
  const { organizationId } = organization;
  const [dates, setDates] = useState(DATES[0]?.[0] ?? "");
  const [amount, setAmount] = useState(kind === "shift" ? "30" : "5");
  const [unit, setUnit] = useState<"days" | "weeks" | "months">("days");
  const [field, setField] = useState("areaSilo");
  const [value, setValue] = useState<Value | undefined>(null);
  const [reason, setReason] = useState("");
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const number = readAmount(amount) ?? Number.NaN;
  const fault =
    kind === "set"
      ? value === undefined
        ? "The value can't be read"
        : undefined
      : kind === "shift"
        ? Number.isInteger(number)
          ? undefined
          : "Write a whole number"
        : Number.isFinite(number)
          ? undefined
          : "Write a number with at most two decimals";
  const edit: RecordEdit | null = fault
    ? null
    : kind === "shift"
      ? { kind, fields: dates.split(","), amount: number, unit }
      : kind === "rate"
        ? { kind: "percent", percent: number }
        : { kind, field, value: value ?? null };
  const chosen = JSON.stringify(edit);
  const settled = useDebounced(chosen);
  const preview = useQuery({
    queryKey: [CACHE, "/api/pfa-data/edits/preview", organizationId, selection, settled],
    queryFn: async ({ signal }) => {
      const body = { organizationId, ...selection, edit: JSON.parse(settled) };
      return (await api.send("post", "/api/pfa-data/edits/preview", { body }, signal)) as unknown as EditPreview;
    },
    enabled: settled !== "null",
    placeholderData: keepPreviousData,
    staleTime: 0,
    gcTime: 0,
  });
  const isCurrent = preview.isSuccess && !preview.isPlaceholderData && settled === chosen;
  const changing = preview.data?.changing ?? 0;
  const start = async () => {
    if (!edit || !preview.data) return;
    setPending(true);
    setFailure(undefined);
    try {
      const { jobId, done, waiting, skipped, failed } = await api.send("post", "/api/pfa-data/edits", {
        header: { "Idempotency-Key": idempotencyKey() },
        body: { organizationId, ...selection, edit, digest: preview.data.digest, reason: reason.trim() || undefined },
      });
      const { invalid } = preview.data;
      tell(
        waiting > 0
          ? `${countText(changing)} drafts are being saved`
          : counted(done, "draft is saved", "drafts are saved"),
        {
          tone: invalid + failed > 0 ? "info" : "done",
          lines: [
            waiting > 0 ? `${counted(waiting, "follows", "follow")} in the background; you may close this page` : "",
            skipped > 0
              ? counted(skipped, "has changed meanwhile and is left out", "have changed meanwhile and are left out")
              : "",
            failed > 0 ? `${countText(failed)} could not be saved` : "",
            invalid > 0 ? counted(invalid, "is not valid yet", "are not valid yet") : "",
            "Review and commit them when they are ready",
          ].filter(Boolean),
          link: <JobLink jobId={jobId} />,
          action: waiting > 0 ? { label: "Stop", run: () => void stopJob(api, cache, jobId) } : undefined,
        },
      );
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onClose(true);
    } catch (error) {
      setPending(false);
      setFailure(error);
      if (error instanceof ApiError && error.code === "moved_on") void preview.refetch();
    }
  };
  const editable = FIELDS.filter((other) => other.permission && !reasonLocked(other, organization));
  return (
    <Dialog
      wide
      title={`${TITLES[kind]} of ${counted(count, "record", "records")}`}
      onClose={() => onClose(false)}
      actions={
        <>
          <Button onClick={() => onClose(false)}>Cancel</Button>
          <Button
            kind="primary"
            reason={
              pending
                ? "They are being saved"
                : (fault ??
                  (preview.error
                    ? "What changes is not known"
                    : !isCurrent
                      ? "It is being counted"
                      : changing === 0
                        ? "Nothing changes"
                        : undefined))
            }
            onClick={() => void start()}
          >
            {preview.data ? `Save ${counted(changing, "draft", "drafts")}` : "Save drafts"}
          </Button>
        </>
      }
    >
      <div className="flex flex-wrap items-center gap-2">
        {kind === "shift" && (
          <>
            <Choice bare label="Dates" value={dates} options={DATES} onChange={setDates} />
            <span>by</span>
            <input
              className="field w-20"
              inputMode="numeric"
              aria-label="How far"
              aria-invalid={fault ? true : undefined}
              value={amount}
              onChange={(event) => setAmount(event.target.value)}
            />
            <Choice
              bare
              label="Unit"
              value={unit}
              options={["days", "weeks", "months"].map((name) => [name, name])}
              onChange={(name) => setUnit(name as typeof unit)}
            />
            <span className="text-secondary">A negative number shifts to earlier days.</span>
          </>
        )}
        {kind === "rate" && (
          <>
            <span>Monthly rates and purchase prices by</span>
            <input
              className="field w-20"
              inputMode="decimal"
              aria-label="Percent"
              aria-invalid={fault ? true : undefined}
              value={amount}
              onChange={(event) => setAmount(event.target.value)}
            />
            <span>percent</span>
          </>
        )}
        {kind === "set" && (
          <>
            <Choice
              bare
              label="Field"
              value={field}
              options={editable.map(({ name, label }) => [name, label])}
              onChange={(name) => {
                setField(name);
                setValue(fieldOf(name).type === "boolean" ? false : null);
              }}
            />
            <span>to</span>
            <div className="w-52">
              <Entry key={field} field={fieldOf(field)} value={value} onChange={setValue} />
            </div>
          </>
        )}
      </div>
      <label className="flex flex-wrap items-center gap-2">
        Reason
        <input
          className="field min-w-48 grow"
          value={reason}
          maxLength={1000}
          placeholder="Optional; saved with each draft"
          onChange={(event) => setReason(event.target.value)}
        />
      </label>
      {fault && (
        <p role="alert" className="text-failed">
          {fault}
        </p>
      )}
      {failure !== undefined && <Failed title="Nothing was saved" error={failure} />}
      {fault ? null : preview.error ? (
        <Failed error={preview.error} onRetry={() => void preview.refetch()} />
      ) : (
        <Answered query={preview} rows={4}>
          {(data) => <Numbers preview={data} isCurrent={isCurrent} />}
        </Answered>
      )}
    </Dialog>
  );
}

/** What an edit makes of the records, in all and of the first ones. */
function Numbers({ preview, isCurrent }: { preview: EditPreview; isCurrent: boolean }) {
  const { records, changing, invalid, costBefore, costAfter, sample } = preview;
  return (
    <div aria-busy={!isCurrent} className={`flex flex-col gap-3 ${isCurrent ? "" : "text-secondary"}`}>
      <p role="status">
        {counted(changing, "changes", "change")}, {counted(records - changing, "stays as it is", "stay as they are")}.
        {costBefore != null && costAfter != null && (
          <>
            {" "}
            Forecast cost <CostChange before={costBefore} after={costAfter} />.
          </>
        )}
        {invalid > 0 && (
          <span className="text-failed">
            {" "}
            {countText(invalid)} would not be valid:{" "}
            {invalid === 1 ? "it can be saved as a draft" : "they can be saved as drafts"}, and not be committed.
          </span>
        )}
      </p>
      {sample.length > 0 && (
        <div
          className="max-h-[45vh] overflow-auto rounded border border-line"
          role="region"
          aria-label="Records"
          tabIndex={0}
        >
          <table className="data-table">
            <thead>
              <tr>
                <th scope="col">PFA</th>
                <th scope="col">Now → after</th>
              </tr>
            </thead>
            <tbody>
              {sample.map(({ pfaId, before, after, errors }) => (
                <tr key={pfaId}>
                  <td>{pfaId}</td>
                  <td className="py-1">
                    {Object.entries(after).map(([name, value]) => (
                      <span key={name} className="mr-4">
                        {fieldOf(name).label}: {valueText(fieldOf(name), before[name])} →{" "}
                        <span className="font-medium">{valueText(fieldOf(name), value)}</span>
                      </span>
                    ))}
                    {errors.map((error) => (
                      <span key={error.code + error.field} className="block text-failed">
                        {faultText(error)}
                      </span>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {changing > sample.length && (
        <p className="text-secondary">The first {countText(sample.length)} that change are listed.</p>
      )}
    </div>
  );
}

function faultText({ field, message }: DraftFault): string {
  return field ? `${fieldOf(field).label}: ${message}` : message;
}
