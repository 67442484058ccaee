import type { RecordRow, Value, Values } from "../api/types";
import { dayOf, momentOf, shifted, shiftedMonths } from "../plan/day";
import { fieldOf } from "../plan/fields";
import { isSame } from "../plan/value";

export type BulkEdit =
  | { kind: "shift"; fields: string[]; amount: number; unit: "days" | "weeks" | "months" }
  | { kind: "percent"; percent: number }
  | { kind: "set"; field: string; value: Value };

/** What an edit makes of a record; empty: nothing. */
export function deltaOf(edit: BulkEdit, record: Values): Values {
  const changed: Values = {};
  if (edit.kind === "shift") {
    for (const name of edit.fields) {
      const day = dayOf(record[name]);
      if (day)
        changed[name] = momentOf(
          edit.unit === "months"
            ? shiftedMonths(day, edit.amount)
            : shifted(day, edit.amount * (edit.unit === "weeks" ? 7 : 1)),
        );
    }
  } else if (edit.kind === "percent") {
    const name = record.source === "Purchase" ? "purchasePrice" : "monthlyRate";
    const amount = record[name];
    // In cents, half a cent up.
    if (typeof amount === "number")
      changed[name] = Math.round((Math.round(amount * 100) * (100 + edit.percent)) / 100 + 1e-7) / 100;
  } else changed[edit.field] = edit.value;
  return Object.fromEntries(
    Object.entries(changed).filter(([name, value]) => !isSame(fieldOf(name), record[name], value)),
  );
}

/** Rows with what an edit would make of them; those that it leaves as they are come last, with an empty delta. */
export function applied(edit: BulkEdit, rows: RecordRow[]): { row: RecordRow; delta: Values; after: RecordRow }[] {
  return rows
    .map((row) => {
      const delta = deltaOf(edit, row.data);
      const base = { ...Object.fromEntries(Object.keys(delta).map((name) => [name, row.data[name]])), ...row.base };
      return { row, delta, after: { ...row, data: { ...row.data, ...delta }, base } };
    })
    .sort((one, other) => Number(Object.keys(one.delta).length === 0) - Number(Object.keys(other.delta).length === 0));
}
