/** Days of the plan are calendar days: midnight in UTC, in every time zone. */

const DAY = /^(\d{4}-\d{2}-\d{2})(?:T.*)?$/;
const MILLISECONDS = 86_400_000;

/** The calendar day (`2026-12-31`) of a date-time as the service has it; null: it is none. */
export function dayOf(value: unknown): string | null {
  if (typeof value !== "string" || !DAY.test(value)) return null;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString().slice(0, 10);
}

/** A calendar day as the service takes it. */
export function momentOf(day: string): string {
  return `${day}T00:00:00.000Z`;
}

/** Days from one calendar day to another. */
export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / MILLISECONDS);
}

/** A calendar day in the words of the locale. */
export function dayText(day: string, locale?: string): string {
  const format = new Intl.DateTimeFormat(locale, { year: "numeric", month: "short", day: "numeric", timeZone: "UTC" });
  return format.format(Date.parse(day));
}
