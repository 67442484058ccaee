/** Periods of the charts: how long, and the length of a step, as the service takes it. */
export const PERIODS = {
  hour: { label: "1 hour", milliseconds: 3_600_000, step: "5 minutes" },
  day: { label: "24 hours", milliseconds: 86_400_000, step: "1 hour" },
  week: { label: "7 days", milliseconds: 7 * 86_400_000, step: "6 hours" },
  month: { label: "30 days", milliseconds: 30 * 86_400_000, step: "1 day" },
} as const;

export type PeriodName = keyof typeof PERIODS;

/** A name out of an address. */
export function periodOf(text: string | undefined): PeriodName {
  return text && text in PERIODS ? (text as PeriodName) : "hour";
}
