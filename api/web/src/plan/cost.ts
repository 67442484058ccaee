import type { Values } from "../api/types";

const DAY = 86_400_000n;
/** Days of an average month, in hundredths. */
const MONTH = 3044n;

/**
 * The forecast cost of a record before it is saved, as `pfa_sync.cost()` counts it: of a rental, the days as months of
 * 30.44 days, times the monthly rate; of a purchase, its price. null: a value that it takes is missing. Counted in
 * whole cents, so that it is exact.
 */
export function costOf(record: Values): number | null {
  if (record.source === "Purchase") return typeof record.purchasePrice === "number" ? record.purchasePrice : null;
  if (record.source !== "Rental" || typeof record.monthlyRate !== "number") return null;
  const [start = Number.NaN, end = Number.NaN] = [record.forecastStart, record.forecastEnd].map((moment) =>
    Date.parse(String(moment)),
  );
  if (Number.isNaN(start) || Number.isNaN(end)) return null;
  const amount = BigInt(end - start) * 100n * BigInt(Math.round(record.monthlyRate * 100));
  const unit = DAY * MONTH;
  const half = amount < 0n ? -unit / 2n : unit / 2n;
  return Number((amount + half) / unit) / 100;
}
