import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import type { DrainForecast } from "../api/types";
import { countText } from "../plan/count";
import { sentence } from "../plan/status";
import type { Series } from "./figures";

/** What becomes of the queue of each organization. */
export function useForecasts() {
  return useQuery({ ...reading(useApi(), "/api/pems/drain-forecast"), refetchInterval: 15_000 });
}

/**
 * How many changes will wait, from now until the queues are empty, or to the end of the chart. Empty: nothing waits, or a
 * queue is not known to become empty.
 */
export function forecastSeries(forecasts: DrainForecast[], now: number, end: number): Series {
  const queues = forecasts
    .filter(({ waiting }) => waiting > 0)
    .map(({ waiting, clearsAt }) => ({ waiting, clears: clearsAt ? Date.parse(clearsAt) : Number.NaN }));
  if (queues.length === 0 || queues.some(({ clears }) => Number.isNaN(clears))) return [];
  const times = [...new Set([now, ...queues.map(({ clears }) => Math.min(Math.max(clears, now + 1), end))])];
  return times
    .sort((one, other) => one - other)
    .map((at) => ({
      at,
      value: Math.round(
        queues.reduce(
          (sum, { waiting, clears }) =>
            sum + (at >= clears ? 0 : at === now ? waiting : (waiting * (clears - at)) / (clears - now)),
          0,
        ),
      ),
    }));
}

const MOST_SENTENCES = 3;

/** What becomes of the queues in words: of those that will not become empty first. */
export function forecastText(forecasts: DrainForecast[], codeOf: (organizationId: string) => string): string {
  const [only, ...others] = forecasts;
  if (!only) return "";
  if (others.length === 0) return `${sentence(only.sentence)}.`;
  const queues = forecasts
    .filter(({ state }) => state !== "empty")
    .sort((one, other) => Number(one.state === "draining") - Number(other.state === "draining"));
  if (queues.length === 0) return `${sentence(only.sentence)}.`;
  const said = queues
    .slice(0, MOST_SENTENCES)
    .map(({ organizationId, sentence }) => `${codeOf(organizationId)}: ${sentence}.`);
  const more = queues.length - said.length;
  return [...said, more > 0 && `And ${countText(more)} more.`].filter(Boolean).join(" ");
}
