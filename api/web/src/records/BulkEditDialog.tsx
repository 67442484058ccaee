import { useState } from "react";
import { errorLines } from "../api/problem";
import type { MyOrganization, RecordRow, Value } from "../api/types";
import { amountText, differenceText } from "../plan/amount";
import { Entry } from "../plan/Entry";
import { FIELDS, fieldOf, reasonLocked } from "../plan/fields";
import { valueText } from "../plan/value";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";
import { Dialog } from "../widgets/Dialog";
import { tell } from "../widgets/toasts";
import { applied, type BulkEdit } from "./bulk";
import { costChange, useDraftActions } from "./drafts";

/** As many records as are listed one by one; all are changed. */
const LISTED = 100;
const DATES: [string, string][] = [
  ["forecastStart,forecastEnd", "forecast start and end"],
  ["forecastStart", "forecast start"],
  ["forecastEnd", "forecast end"],
];
const TITLES = { shift: "Shift dates", rate: "Change rates and prices", set: "Set a field" };

type Props = {
  kind: "shift" | "rate" | "set";
  organization: MyOrganization;
  rows: RecordRow[];
  onClose: (changed?: string[]) => void;
};

/** Changes many records in one way: shows each as it is and as it would be, then saves them as drafts. */
export function BulkEditDialog({ kind, organization, rows, onClose }: Props) {
  const drafts = useDraftActions(organization.organizationId);
  const [dates, setDates] = useState(DATES[0]?.[0] ?? "");
  const [amount, setAmount] = useState(kind === "shift" ? "30" : "5");
  const [unit, setUnit] = useState<"days" | "weeks" | "months">("days");
  const [field, setField] = useState("areaSilo");
  const [value, setValue] = useState<Value | undefined>(null);
  const [pending, setPending] = useState(false);
  const [failure, setFailure] = useState<string[]>();
  const number = Number(amount.replace(",", "."));
  const fault =
    kind === "set"
      ? value === undefined
        ? "The value can't be read"
        : undefined
      : !Number.isFinite(number) || amount.trim() === "" || (kind === "shift" && !Number.isInteger(number))
        ? "Write a number"
        : undefined;
  const edit: BulkEdit =
    kind === "shift"
      ? { kind, fields: dates.split(","), amount: fault ? 0 : number, unit }
      : kind === "rate"
        ? { kind: "percent", percent: fault ? 0 : number }
        : { kind, field, value: value ?? null };
  const changes = applied(edit, rows);
  const changing = changes.filter(({ delta }) => Object.keys(delta).length > 0);
  const cost = costChange(changing.map(({ after }) => after));
  const save = async () => {
    setPending(true);
    setFailure(undefined);
    try {
      const saved = await drafts.saveAll(changing.map(({ row, delta }) => ({ pfaId: row.pfaId, delta })));
      const faulty = saved.filter(({ errors }) => errors.length > 0).length;
      const conflicting = saved.filter(({ conflicts }) => conflicts.length > 0).length;
      tell(`${saved.length.toLocaleString()} drafts are saved`, {
        tone: faulty ? "info" : "done",
        lines: [
          faulty ? `${faulty.toLocaleString()} are not valid yet` : "",
          conflicting ? `${conflicting.toLocaleString()} would be conflicts` : "",
          "Review and commit them when they are ready",
        ].filter(Boolean),
      });
      onClose(changing.map(({ row }) => row.pfaId));
    } catch (error) {
      setPending(false);
      setFailure(errorLines(error));
    }
  };
  const editable = FIELDS.filter((other) => other.permission && !reasonLocked(other, organization));
  return (
    <Dialog
      wide
      title={`${TITLES[kind]} of ${rows.length.toLocaleString()} ${rows.length === 1 ? "record" : "records"}`}
      onClose={() => onClose()}
      actions={
        <>
          <Button onClick={() => onClose()}>Cancel</Button>
          <Button
            kind="primary"
            reason={
              pending ? "They are being saved" : (fault ?? (changing.length === 0 ? "Nothing changes" : undefined))
            }
            onClick={() => void save()}
          >
            Save {changing.length.toLocaleString()} drafts
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
      {fault && <p className="text-failed">{fault}</p>}
      {failure && (
        <div role="alert" className="rounded border border-failed bg-failed-back p-2">
          <p className="font-medium">Nothing was saved.</p>
          {failure.slice(0, 8).map((line) => (
            <p key={line}>{line}</p>
          ))}
        </div>
      )}
      <p>
        {changing.length.toLocaleString()} change, {(rows.length - changing.length).toLocaleString()} stay as they are.
        {cost.counted > 0 && (
          <>
            {" "}
            Forecast cost {amountText(cost.before)} → <strong className="font-medium">{amountText(cost.after)}</strong>{" "}
            ({differenceText(cost.after - cost.before)}).
          </>
        )}
      </p>
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
            {changes.slice(0, LISTED).map(({ row, delta }) => (
              <tr key={row.pfaId}>
                <td>{row.pfaId}</td>
                <td>
                  {Object.entries(delta).map(([name, after]) => (
                    <span key={name} className="mr-4">
                      {fieldOf(name).label}: {valueText(fieldOf(name), row.data[name])} →{" "}
                      <span className="font-medium">{valueText(fieldOf(name), after)}</span>
                    </span>
                  ))}
                  {Object.keys(delta).length === 0 && <span className="text-secondary">stays as it is</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > LISTED && <p className="text-secondary">The first {LISTED} are listed.</p>}
    </Dialog>
  );
}
