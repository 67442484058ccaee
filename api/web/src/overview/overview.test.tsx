import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DrainForecast, Kpi } from "../api/types";
import { serviceOf, show } from "../harness";
import { Charts } from "./Charts";
import { forecastSeries, forecastText } from "./forecast";

// jsdom has no canvas to draw on.
vi.mock("./Plot", () => ({ Plot: () => null }));

afterEach(() => vi.unstubAllGlobals());

const MINUTE = 60_000;
const NOW = Date.parse("2026-01-01T12:00:00Z");
const forecast = (organizationId: string, state: string, waiting: number, minutes?: number): DrainForecast => ({
  organizationId,
  state,
  waiting,
  clearsAt: minutes === undefined ? null : new Date(NOW + minutes * MINUTE).toISOString(),
  sentence: `${state}, as it is`,
});

describe("The forecast of the queue", () => {
  const series = (...forecasts: DrainForecast[]) =>
    forecastSeries(forecasts, NOW, NOW + 60 * MINUTE).map(({ at, value }) => [(at - NOW) / MINUTE, value]);

  it("goes from what waits now to nothing", () => {
    expect(series(forecast("a", "draining", 100, 10))).toEqual([
      [0, 100],
      [10, 0],
    ]);
  });

  it("adds queues up, each of which ends at its time", () => {
    expect(series(forecast("a", "draining", 100, 10), forecast("b", "draining", 40, 20))).toEqual([
      [0, 140],
      [10, 20],
      [20, 0],
    ]);
  });

  it("ends with the chart", () => {
    expect(series(forecast("a", "draining", 100, 120))).toEqual([
      [0, 100],
      [60, 50],
    ]);
  });

  it.each(["growing", "stalled", "stopped"])("has no line while a queue is %s", (state) => {
    expect(series(forecast("a", "draining", 100, 10), forecast("b", state, 5))).toEqual([]);
  });

  it("is said in words, of what does not drain first", () => {
    const all = [forecast("a", "draining", 9, 1), forecast("b", "empty", 0), forecast("c", "stalled", 5)];
    expect(forecastText(all, (id) => id.toUpperCase())).toBe("C: stalled, as it is. A: draining, as it is.");
    expect(forecastText(all.slice(0, 1), String)).toBe("Draining, as it is.");
  });
});

describe("The chart of the queue", () => {
  const kpis = ["2026-01-01T11:50:00Z", "2026-01-01T11:55:00Z"].map(
    (periodStart, index): Kpi => ({
      name: "queue_depth",
      organizationId: "org_RIO",
      periodStart,
      periodEnd: periodStart,
      unit: "changes",
      samples: 1,
      value: 300 - index * 100,
    }),
  );
  const chart = async (organizations: DrainForecast[]) => {
    const { api } = serviceOf({ "GET /api/pems/drain-forecast": () => ({ organizations }) });
    await show(<Charts kpis={kpis} milliseconds={60 * MINUTE} />, { api });
    const section = await screen.findByRole("region", { name: "Queue, changes that wait" });
    await within(section).findByText(/as it is/);
    await userEvent.click(within(section).getByRole("button", { name: "As table" }));
    return within(section)
      .getAllByRole("row")
      .map((row) => Array.from(row.children, (cell) => cell.textContent).slice(1));
  };

  it("has its numbers and those of the forecast as a table", async () => {
    const future = { ...forecast("org_RIO", "draining", 200), clearsAt: new Date(Date.now() + MINUTE).toISOString() };
    expect(await chart([future])).toEqual([
      ["Waiting", "Forecast"],
      ["300", "—"],
      ["200", "—"],
      ["—", "200"],
      ["—", "0"],
    ]);
  });

  it("has no forecast of a queue that grows, and says why", async () => {
    expect(await chart([forecast("org_RIO", "growing", 200)])).toEqual([["Waiting"], ["300"], ["200"]]);
    expect(screen.getByText("Growing, as it is.")).toBeTruthy();
  });
});
