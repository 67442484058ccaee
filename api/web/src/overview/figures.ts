import type { Kpi } from "../api/types";

/** A key figure over time. */
export type Series = { at: number; value: number | null }[];

/**
 * A key figure of all shown organizations over time: throughputs are added up, of a duration the longest stands for all,
 * so that a slow organization is seen.
 */
export function seriesOf(kpis: Kpi[], name: string, combine: "sum" | "longest"): Series {
  const periods = new Map<number, number | null>();
  for (const kpi of kpis) {
    if (kpi.name !== name) continue;
    const at = Date.parse(kpi.periodStart);
    const before = periods.get(at) ?? null;
    const value = kpi.value ?? null;
    periods.set(
      at,
      before === null ? value : value === null ? before : combine === "sum" ? before + value : Math.max(before, value),
    );
  }
  return [...periods].sort(([one], [other]) => one - other).map(([at, value]) => ({ at, value }));
}

/** The last value that was measured. */
export function lastOf(series: Series): number | null {
  return series.findLast(({ value }) => value !== null)?.value ?? null;
}

/** All times of some series, in their order. */
export function timesOf(series: Series[]): number[] {
  return [...new Set(series.flat().map(({ at }) => at))].sort((one, other) => one - other);
}

/** The values of a series at given times; null where it has none. */
export function alignedTo(times: number[], series: Series): (number | null)[] {
  const values = new Map(series.map(({ at, value }) => [at, value]));
  return times.map((at) => values.get(at) ?? null);
}
