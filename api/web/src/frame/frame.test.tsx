import { fireEvent } from "@testing-library/dom";
import { act, render, renderHook, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { useSelection } from "../lists/useSelection";
import { wordsOf } from "../notifications/words";
import { lastOf, seriesOf } from "../overview/figures";
import { perSecond } from "../overview/Plant";
import { durationText, relativeTime } from "../widgets/clock";
import { InstanceName } from "./InstanceName";
import { KEYS, useKeys } from "./keys";
import { parseView, writeView } from "./view";

describe("Keys", () => {
  it("run what belongs to them, alone or one after the other", () => {
    const records = vi.fn();
    const help = vi.fn();
    renderHook(() => useKeys({ records, help }));
    fireEvent.keyDown(document.body, { key: "g" });
    fireEvent.keyDown(document.body, { key: "r" });
    fireEvent.keyDown(document.body, { key: "?" });
    expect([records, help].map((call) => call.mock.calls.length)).toEqual([1, 1]);
  });

  it("do nothing while the user types, and behind an open window", () => {
    const help = vi.fn();
    renderHook(() => useKeys({ help }));
    const input = document.body.appendChild(document.createElement("input"));
    fireEvent.keyDown(input, { key: "?" });
    const window = document.body.appendChild(document.createElement("div"));
    window.dataset.window = "";
    fireEvent.keyDown(document.body, { key: "?" });
    expect(help).not.toHaveBeenCalled();
    input.remove();
    window.remove();
  });

  it("have one meaning in each place", () => {
    const seen = Object.values(KEYS).map(({ keys, where }) => `${where}: ${keys}`);
    expect(new Set(seen).size).toBe(seen.length);
  });
});

it("an address keeps texts of digits as they are, and leaves out what is empty", () => {
  expect(parseView("?pfaId=0083772&q=a+b")).toEqual({ pfaId: "0083772", q: "a b" });
  expect(writeView({ pfaId: "0083772", org: undefined, q: "" })).toBe("?pfaId=0083772");
});

it("a selection grows by a range, and shrinks by one", () => {
  const { result } = renderHook(() => useSelection());
  const keys = ["a", "b", "c", "d"];
  act(() => result.current.toggle("b"));
  act(() => result.current.toggle("d", { keys }));
  expect([...result.current.selected]).toEqual(["b", "c", "d"]);
  act(() => result.current.toggle("c"));
  expect([...result.current.selected]).toEqual(["b", "d"]);
});

it("figures of several organizations are added up, durations are those of the slowest", () => {
  const kpi = (name: string, at: string, value: number | null) => ({
    name,
    periodStart: at,
    periodEnd: at,
    unit: "",
    samples: 1,
    value,
  });
  const kpis = [
    kpi("throughput", "2026-01-01T01:00:00Z", 2),
    kpi("throughput", "2026-01-01T00:00:00Z", 1),
    kpi("throughput", "2026-01-01T01:00:00Z", 3),
    kpi("latency_p50", "2026-01-01T00:00:00Z", null),
  ];
  expect(seriesOf(kpis, "throughput", "sum").map(({ value }) => value)).toEqual([1, 5]);
  expect(seriesOf(kpis, "throughput", "longest").map(({ value }) => value)).toEqual([1, 3]);
  expect(lastOf(seriesOf(kpis, "latency_p50", "longest"))).toBeNull();
});

it("times and rates are said in short words", () => {
  expect(relativeTime(0, 3_600_000 * 5, "en")).toBe("5 hours ago");
  expect(relativeTime(1000, 0, "en")).toBe("just now");
  expect([0.4, 8.04, 75, 7200, 864_000].map(durationText)).toEqual(["400 ms", "8.0 s", "1 min", "2 h", "10 days"]);
  expect(perSecond("00:00:00.105")).toBe("9.5 requests a second");
});

it("a notification is one sentence, whether it stands for one change or for many", () => {
  const notification = { notificationId: "1", kind: "conflict", number: 1, pfaIds: ["4711"], firstAt: "", lastAt: "" };
  expect(wordsOf(notification)).toBe("Your edit of record 4711 conflicts with PEMS");
  expect(wordsOf({ ...notification, number: 12 })).toBe("12 changes of yours conflict with PEMS");
  expect(wordsOf({ ...notification, kind: "failed", code: "REJECTED" })).toBe(
    "Your edit of record 4711 failed for good: Rejected",
  );
});

describe("The name of the installation", () => {
  const instance = {
    name: "Test",
    colour: "blue",
    production: false,
    links: [] as { name: string; address: string }[],
  };

  it("leads to other installations, by addresses of the web alone", async () => {
    const links = [
      { name: "Training", address: "https://training.example.com" },
      { name: "Wrong", address: "javascript:alert(1)" },
    ];
    render(<InstanceName instance={{ ...instance, links }} />);
    await userEvent.click(screen.getByRole("button", { name: "Test: other installations" }));
    const [link, ...others] = await screen.findAllByRole("link");
    expect(others).toEqual([]);
    expect(link?.getAttribute("href")).toBe("https://training.example.com");
    expect(link?.getAttribute("rel")).toBe("noopener");
  });

  it("is a name alone where there are no others", () => {
    render(<InstanceName instance={{ ...instance, production: true }} />);
    expect(screen.getByText("Test · production").tagName).toBe("SPAN");
    expect(screen.queryByRole("button")).toBeNull();
  });
});
