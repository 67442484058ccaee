import { act, renderHook, waitFor } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { LiveEvent } from "../api/types";
import { row, Surroundings, serviceOf } from "../harness";
import { rowCount } from "./RecordGrid";
import { useRecordWindows } from "./useRecordWindows";

let tell: (event: LiveEvent) => void = () => undefined;
let miss: () => void = () => undefined;
vi.mock("../live/LiveProvider", () => ({
  useLiveEvents: (listener: (event: LiveEvent) => void, onMissed: () => void) => {
    tell = listener;
    miss = onMissed;
  },
}));
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("The rows of a search", () => {
  type Body = { skip?: number; filter?: { pfa_ids?: string[] } };
  const SEARCHED: { filter: Record<string, string>; faults: [] } = { filter: {}, faults: [] };
  const ORDER = { sort: "pfaId", descending: false };
  const start = () => {
    let version = 1;
    let held: Promise<void> | undefined;
    const service = serviceOf({
      "POST /api/pfa-data/search": async ({ skip = 0, filter }: Body) => {
        if (filter?.pfa_ids) return { records: filter.pfa_ids.map((pfaId) => row(pfaId, { version: 9 })) };
        const records = Array.from({ length: 200 }, (_, place) => row(String(skip + place), { version }));
        await held;
        return { records };
      },
    });
    const hook = renderHook(({ search }) => useRecordWindows("org_RIO", search, ORDER), {
      initialProps: { search: SEARCHED },
      wrapper: ({ children }) => <Surroundings api={service.api}>{children}</Surroundings>,
    });
    return {
      result: hook.result,
      searchFor: (search: typeof SEARCHED) => hook.rerender({ search }),
      /** Answers of windows are as of when they were asked for, and come when the returned function is called. */
      hold: () => {
        let release = () => {};
        held = new Promise((resolve) => {
          release = resolve;
        });
        return release;
      },
      skips: () => (service.asked("POST /api/pfa-data/search") as Body[]).map(({ skip }) => skip),
      change: () => {
        version++;
      },
    };
  };

  it("are read where they come into view: a jump to row 30,000 asks for that window alone", async () => {
    const { result, skips } = start();
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    act(() => result.current.show(30_070, 30_100));
    await waitFor(() => expect(result.current.loaded.get(150)?.[70]?.pfaId).toBe("30070"));
    expect(skips()).toEqual([0, 30_000]);
  });

  it("are read once", async () => {
    const { result, skips } = start();
    act(() => result.current.show(0, 210));
    await waitFor(() => expect(result.current.loaded.size).toBe(2));
    act(() => result.current.show(10, 220));
    expect(skips()).toEqual([0, 200]);
  });

  it("are brought up to date where they stand", async () => {
    const { result, skips } = start();
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    act(() => result.current.show(30_070, 30_100));
    await waitFor(() => expect(result.current.loaded.has(150)).toBe(true));
    act(() => {
      for (const pfaId of ["30005", "400"]) tell({ organizationId: "org_RIO", pfaId } as LiveEvent);
    });
    await waitFor(() => expect(result.current.loaded.get(150)?.[5]).toMatchObject({ pfaId: "30005", version: 9 }));
    expect(result.current.loaded.get(150)?.[6]?.version).toBe(1);
    // Of the two, only the row that was read is read anew.
    expect(skips()).toEqual([0, 30_000, undefined]);
  });

  it("are brought up to date when an event comes while their window is being read", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const { result, skips, hold } = start();
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    const release = hold();
    act(() => result.current.show(30_070, 30_100));
    await waitFor(() => expect(result.current.isFetching).toBe(true));
    act(() => tell({ organizationId: "org_RIO", pfaId: "30005" } as LiveEvent));
    // Rows are gathered for less than a second.
    await act(() => vi.advanceTimersByTimeAsync(1000));
    expect(skips()).toEqual([0, 30_000]);
    act(release);
    await waitFor(() => expect(result.current.loaded.get(150)?.[5]).toMatchObject({ pfaId: "30005", version: 9 }));
  });

  it("are brought up to date when events were missed", async () => {
    const { result } = start();
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    act(() => miss());
    await waitFor(() => expect(result.current.loaded.get(0)?.every(({ version }) => version === 9)).toBe(true));
  });

  it("are read anew when the search comes back, since no event reached them meanwhile", async () => {
    const { result, change, searchFor } = start();
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    searchFor({ filter: { category: "Crane" }, faults: [] });
    await waitFor(() => expect(result.current.loaded.has(0)).toBe(true));
    change();
    searchFor(SEARCHED);
    await waitFor(() => expect(result.current.loaded.get(0)?.[0]?.version).toBe(2));
  });

  it("are all read anew when that is asked for", async () => {
    const { result, skips, change } = start();
    act(() => result.current.show(30_070, 30_100));
    await waitFor(() => expect(result.current.loaded.size).toBe(2));
    change();
    await act(() => result.current.reload());
    await waitFor(() => expect(result.current.loaded.get(150)?.[0]?.version).toBe(2));
    expect(result.current.loaded.get(0)?.[0]?.version).toBe(2);
    expect(skips()).toEqual([0, 30_000, 0, 30_000]);
  });

  it("are as many as were counted, or as were read; those that were not counted come window by window", () => {
    const windows = (...sizes: [number, number][]) =>
      new Map(sizes.map(([window, size]) => [window, Array.from({ length: size }, () => row("1"))]));
    expect(rowCount(windows([0, 200]), 60_000, false)).toBe(60_000);
    expect(rowCount(windows([0, 200], [1, 30]), 210, false)).toBe(230);
    expect(rowCount(windows([0, 200], [1, 200]), 400, true)).toBe(600);
    expect(rowCount(windows([0, 200], [1, 200], [2, 0]), 400, true)).toBe(400);
  });
});
