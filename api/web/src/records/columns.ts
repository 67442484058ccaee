import { type Field, fieldOf } from "../plan/fields";

export type Column = { field: Field; width: number; numeric?: boolean };

const WIDTHS: Record<string, number> = { text: 140, choice: 100, amount: 120, day: 125, boolean: 110 };

/** The columns that can be shown, in their order. */
const ALL = [
  "category",
  "class",
  "source",
  "dor",
  "areaSilo",
  "manufacturer",
  "model",
  "monthlyRate",
  "purchasePrice",
  "forecastStart",
  "forecastEnd",
  "forecastCategory",
  "contract",
  "equipment",
  "originalStart",
  "originalEnd",
  "actualStart",
  "actualEnd",
  "isActualized",
  "isDiscontinued",
  "isFundsTransferable",
  "hasPlan",
  "hasActuals",
];

/** Those that are shown unless others are chosen. */
const SHOWN = ALL.slice(0, 11);

/** The columns that the address names. */
export function columnsOf(text: string | undefined): Column[] {
  const names = text ? text.split(",").filter((name) => ALL.includes(name)) : SHOWN;
  return names.map((name) => {
    const field = fieldOf(name);
    return { field, width: WIDTHS[field.type] ?? 140, numeric: field.type === "amount" };
  });
}

export const COLUMN_NAMES = ALL;

/** The address' form of a choice of columns; undefined: the usual ones. */
export function writeColumns(names: string[]): string | undefined {
  const ordered = ALL.filter((name) => names.includes(name));
  return ordered.join() === SHOWN.join() ? undefined : ordered.join();
}
