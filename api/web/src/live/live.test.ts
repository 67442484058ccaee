import { QueryClient } from "@tanstack/react-query";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CACHE } from "../api/context";
import { CacheUpdater } from "./cache";
import { ConnectionState } from "./connection";
import { shareEvents } from "./shared";
import { readEvents, type Signal } from "./stream";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A response whose stream the test writes. */
function streamed(): { response: Response; write: (text: string) => void; end: () => void } {
  const parts = new TransformStream<Uint8Array, Uint8Array>();
  const writer = parts.writable.getWriter();
  return {
    response: new Response(parts.readable),
    write: (text) => void writer.write(new TextEncoder().encode(text)),
    end: () => void writer.close(),
  };
}

describe("The event stream", () => {
  it.each([
    { held: [{ name: "events" }], expected: ["ready", "reload"] },
    { held: [{ name: "another" }], expected: ["ready"] },
  ])("makes a tab read its data anew when the tab takes it over: $expected", async ({ held, expected }) => {
    vi.stubGlobal("navigator", {
      locks: {
        query: () => Promise.resolve({ held }),
        request: (_name: string, _options: object, run: () => Promise<void>) => run(),
      },
    });
    const stream = streamed();
    vi.stubGlobal("fetch", () => Promise.resolve(stream.response));
    const signals: string[] = [];
    const stop = new AbortController();
    const done = shareEvents("events", {
      url: "/events",
      getToken: () => "t",
      signal: stop.signal,
      onSignal: ({ kind }) => signals.push(kind),
    });
    stream.write("event: ready\nid: 7\ndata: {}\n\n");
    await vi.waitFor(() => expect(signals).toEqual(expected));
    stop.abort();
    stream.end();
    await done;
  });

  it("goes on after its last event when it was cut, and reports what it hears", async () => {
    const streams = [streamed(), streamed()];
    const heads: (string | undefined)[] = [];
    vi.stubGlobal(
      "fetch",
      vi.fn((_url: string, init: { headers: Record<string, string> }) => {
        heads.push(init.headers["Last-Event-ID"]);
        return Promise.resolve(streams[heads.length - 1]?.response ?? new Response(null, { status: 503 }));
      }),
    );
    const signals: Signal[] = [];
    const stop = new AbortController();
    const done = readEvents({
      url: "/events",
      getToken: () => "t",
      signal: stop.signal,
      onSignal: (signal) => signals.push(signal),
    });
    streams[0]?.write(
      'event: ready\nid: 10\ndata: {}\n\n: comment\n\nevent: synced\nid: 11\ndata: {"event":"synced","eventId":"11"}\n',
    );
    streams[0]?.write("\n");
    await vi.waitFor(() => expect(signals.map(({ kind }) => kind)).toEqual(["ready", "heard", "event"]));
    streams[0]?.end();
    await vi.waitFor(() => expect(heads).toEqual([undefined, "11"]), 3000);
    expect(signals.at(-1)?.kind).toBe("lost");
    stop.abort();
    streams[1]?.end();
    await done;
  });

  it("tries again when the service refuses it, more and more rarely", async () => {
    vi.useFakeTimers();
    const fetch = vi.fn().mockImplementation(() => Promise.resolve(new Response(null, { status: 503 })));
    vi.stubGlobal("fetch", fetch);
    const stop = new AbortController();
    const done = readEvents({ url: "/events", getToken: () => null, signal: stop.signal, onSignal: () => undefined });
    await vi.advanceTimersByTimeAsync(60_000);
    const tries = fetch.mock.calls.length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(14);
    stop.abort();
    await vi.advanceTimersByTimeAsync(20_000);
    await done;
    expect(fetch.mock.calls.length).toBe(tries);
  });
});

describe("The state of the connection", () => {
  it("is live while something is heard, behind after silence, and lost since it was heard last", () => {
    let now = 0;
    const connection = new ConnectionState(() => now);
    const changed = vi.fn();
    connection.listen(changed);
    connection.heard();
    expect(connection.current()).toEqual({ kind: "live" });
    now = 21_000;
    connection.check();
    expect(connection.current()).toEqual({ kind: "behind", since: 0 });
    now = 22_000;
    connection.heard();
    now = 30_000;
    connection.lost();
    expect(connection.current()).toEqual({ kind: "lost", since: 22_000 });
    expect(changed).toHaveBeenCalledTimes(4);
  });
});

describe("An event", () => {
  it("refreshes what it may have changed, once for many events of a moment", async () => {
    vi.useFakeTimers();
    const cache = new QueryClient();
    const invalidate = vi.spyOn(cache, "invalidateQueries");
    for (const path of ["/api/pems/jobs", "/api/pems/conflicts/{conflictId}", "/api/pems/settings"])
      cache.setQueryData([CACHE, path, {}], 1);
    const updater = new CacheUpdater(cache);
    for (let event = 0; event < 100; event++)
      updater.take({ event: "conflict", eventType: "CONFLICT_DETECTED", eventId: String(event), at: "" });
    await vi.advanceTimersByTimeAsync(500);
    expect(invalidate).toHaveBeenCalledOnce();
    const stale = cache
      .getQueryCache()
      .findAll({ stale: true })
      .filter(({ state }) => state.isInvalidated);
    expect(stale.map(({ queryKey }) => queryKey[1])).toEqual(["/api/pems/jobs", "/api/pems/conflicts/{conflictId}"]);
  });
});
