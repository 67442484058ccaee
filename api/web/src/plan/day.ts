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

/** A calendar day some days later. */
export function shifted(day: string, days: number): string {
  return new Date(Date.parse(day) + days * MILLISECONDS).toISOString().slice(0, 10);
}

/** A calendar day some months later; of a month that is too short, its last day. */
export function shiftedMonths(day: string, months: number): string {
  const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
  const last = new Date(Date.UTC(year, month - 1 + months + 1, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 + months, Math.min(date, last))).toISOString().slice(0, 10);
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
