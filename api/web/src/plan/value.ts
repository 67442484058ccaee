import type { Value } from "../api/types";
import { amountText } from "./amount";
import { counted } from "./count";
import { dayOf, daysBetween, dayText } from "./day";
import type { Field } from "./fields";

/** A value of a field in words, the same on every page. */
export function valueText(field: Field, value: Value, locale?: string): string {
  if (value === null || value === undefined || value === "") return "—";
  if (field.type === "boolean" && typeof value === "boolean") return value ? "Yes" : "No";
  if (field.type === "amount" && isDecimal(value)) return amountText(value, locale);
  const day = field.type === "day" ? dayOf(value) : null;
  return day ? dayText(day, locale) : String(value);
}

/** How far one value is from another: days, or an amount; null: it can't be said. */
export function difference(field: Field, from: Value, to: Value, locale?: string): string | null {
  if (field.type === "day") {
    const [start, end] = [dayOf(from), dayOf(to)];
    if (!start || !end || start === end) return null;
    const days = daysBetween(start, end);
    return `${days > 0 ? "+" : "−"}${counted(Math.abs(days), "day", "days", locale)}`;
  }
  if (field.type === "amount" && typeof from === "number" && typeof to === "number" && from !== to) {
    const unit = field.name === "monthlyRate" ? " a month" : "";
    return `${to > from ? "+" : "−"}${amountText(Math.abs(Math.round((to - from) * 100) / 100), locale)}${unit}`;
  }
  return null;
}

/** Whether two values are the same: a day is its calendar day, an empty text is null. */
export function isSame(field: Field, one: Value, other: Value): boolean {
  const plain = (value: Value) =>
    value === "" || value === undefined ? null : field.type === "day" ? (dayOf(value) ?? value) : value;
  return plain(one) === plain(other);
}

function isDecimal(value: Value): value is string | number {
  return typeof value === "number" || (typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value));
}
