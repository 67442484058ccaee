import { renderHook, waitFor } from "@testing-library/react";
import { afterEach, expect, it, vi } from "vitest";
import type { LiveEvent } from "../../src/api/types";
import { serviceOf } from "../../src/harness";
import { StatusStore } from "./StatusStore";

let tell: (event: LiveEvent) => void = () => undefined;
let miss: () => void = () => undefined;
vi.mock("../../src/live/LiveProvider", () => ({
  useLiveEvents: (listener: (event: LiveEvent) => void, onMissed: () => void) => {
    tell = listener;
    miss = onMissed;
  },
}));
afterEach(() => vi.unstubAllGlobals());

const start = () => {
  const now = { state: "queued" };
  const { api, asked } = serviceOf({
    "POST /api/pfa-data/search": ({ filter }: { filter: { pfa_ids: string[] } }) => ({
      records: filter.pfa_ids.map((pfaId) => ({ pfaId, states: [now.state] })),
    }),
  });
  const store = new StatusStore(api, "org_RIO");
  renderHook(() => store.Listener());
  const until = (pfaId: string, state: string) => waitFor(() => expect(store.get(pfaId)?.states.join()).toBe(state));
  const read = () =>
    asked("POST /api/pfa-data/search").map((body) => (body as { filter: { pfa_ids: string[] } }).filter.pfa_ids);
  return { store, now, until, read };
};

it("The status of a record is read anew by its events, and all are when events may have been missed", async () => {
  const { store, now, until } = start();
  store.watch(["1", "2"]);
  await until("1", "queued");
  now.state = "syncing";
  tell({ organizationId: "org_RIO", pfaId: "1" } as LiveEvent);
  await until("1", "syncing");
  expect(store.get("2")?.states).toEqual(["queued"]);
  now.state = "synced";
  miss();
  await until("2", "synced");
});

it.each([
  { what: "its event", happen: () => tell({ organizationId: "org_RIO", pfaId: "1" } as LiveEvent) },
  { what: "events that may have been missed", happen: () => miss() },
])("The status of a record that was out of view at $what is read anew when it comes back", async ({ happen }) => {
  const { store, now, until } = start();
  const leave = store.watch(["1"]);
  await until("1", "queued");
  leave();
  now.state = "synced";
  happen();
  await vi.waitFor(() => expect(store.get("1")).toBeUndefined());
  store.watch(["1"]);
  await until("1", "synced");
});

it("A record that stays in view, or comes back without an event, is not read again", async () => {
  const { store, until, read } = start();
  const leave = store.watch(["1", "2"]);
  await until("2", "queued");
  leave();
  store.watch(["2", "3"]);
  await until("3", "queued");
  expect(read()).toEqual([["1", "2"], ["3"]]);
});
