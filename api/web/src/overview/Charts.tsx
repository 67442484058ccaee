import { useMemo } from "react";
import type { Kpi } from "../api/types";
import { useCodeOf } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { countText } from "../plan/count";
import { durationText } from "../widgets/clock";
import { Chart, type Line } from "./Chart";
import { seriesOf } from "./figures";
import { forecastSeries, forecastText, useForecasts } from "./forecast";

const perMinute = (value: number) => countText(value / 60 < 10 ? Math.round(value / 6) / 10 : Math.round(value / 60));
const count = (value: number) => countText(Math.round(value));

/** Throughput, latency and queue over time; of the queue also what is expected. */
export function Charts({ kpis, milliseconds }: { kpis: Kpi[]; milliseconds: number }) {
  const flow = useMemo<Line[]>(
    () => [{ label: "Changes a minute", series: seriesOf(kpis, "throughput", "sum"), colour: "link" }],
    [kpis],
  );
  const latency = useMemo<Line[]>(
    () => [
      { label: "Half of the changes", series: seriesOf(kpis, "latency_p50", "longest"), colour: "link" },
      { label: "95 % of the changes", series: seriesOf(kpis, "latency_p95", "longest"), colour: "attention" },
    ],
    [kpis],
  );
  const queue = useQueue(kpis, milliseconds);
  return (
    <div className="mx-4 grid gap-4 lg:grid-cols-3">
      <Chart title="Throughput, changes a minute" lines={flow} format={perMinute} />
      <Chart title="Time from commit to PEMS" lines={latency} format={durationText} />
      <Chart title="Queue, changes that wait" {...queue} format={count} />
    </div>
  );
}

/** The queue until now, and its forecast, which is drawn as far ahead as the chart goes back. */
function useQueue(kpis: Kpi[], milliseconds: number): { lines: Line[]; note: string } {
  const codeOf = useCodeOf();
  const organization = useOrganization();
  const { data, error, dataUpdatedAt } = useForecasts();
  const forecasts = useMemo(
    () =>
      data?.organizations.filter(
        ({ organizationId }) => !organization || organizationId === organization.organizationId,
      ) ?? [],
    [data, organization],
  );
  const lines = useMemo<Line[]>(() => {
    const depth = seriesOf(kpis, "queue_depth", "sum");
    const expected = forecastSeries(forecasts, dataUpdatedAt, dataUpdatedAt + milliseconds);
    const measured: Line = { label: "Waiting", series: depth, colour: "link" };
    return expected.length > 0
      ? [measured, { label: "Forecast", series: expected, colour: "attention", dashed: true }]
      : [measured];
  }, [kpis, forecasts, dataUpdatedAt, milliseconds]);
  return { lines, note: data ? forecastText(forecasts, codeOf) : error ? "The forecast could not be read." : "" };
}
