import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CACHE } from "../api/context";
import { CacheUpdater } from "./cache";
import { ConnectionState } from "./connection";
import { Refresher } from "./refresher";
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

  it.each([{ event: "of its kind" }, { event: "that was missed" }])(
    "repeats a read whose answer is under way, once it is there: an event $event",
    async ({ event }) => {
      vi.useFakeTimers();
      const cache = new QueryClient();
      const answers: ((answer: string) => void)[] = [];
      const read = new QueryObserver<string>(cache, {
        queryKey: [CACHE, "/api/pems/jobs", {}],
        queryFn: () => new Promise((resolve) => answers.push(resolve)),
      });
      const stop = read.subscribe(() => undefined);
      const updater = new CacheUpdater(cache);
      for (const answer of ["first", "second", "third"]) {
        const reads = answers.length;
        if (event === "that was missed") updater.takeAll();
        else updater.take({ event: "job", eventType: "JOB_STARTED", eventId: "1", at: "" });
        await vi.advanceTimersByTimeAsync(1000);
        // It is not cancelled: otherwise nothing would ever be shown while events come faster than answers.
        expect(answers.length).toBe(reads);
        answers.at(-1)?.(answer);
        await vi.advanceTimersByTimeAsync(0);
        expect(read.getCurrentResult().data).toBe(answer);
        expect(answers.length).toBe(reads + 1);
      }
      answers.at(-1)?.("last");
      await vi.advanceTimersByTimeAsync(1000);
      expect(read.getCurrentResult()).toMatchObject({ data: "last", fetchStatus: "idle" });
      stop();
    },
  );
});

describe("What events name", () => {
  it("is read together and one read after the other; what is named during a read is read after it", async () => {
    vi.useFakeTimers();
    const reads: { stale: string[]; end: () => void }[] = [];
    const refresher = new Refresher(
      50,
      (isStale) =>
        new Promise((resolve) => reads.push({ stale: ["1", "2", "3"].filter(isStale), end: () => resolve() })),
    );
    refresher.add("1");
    refresher.add("3");
    await vi.advanceTimersByTimeAsync(60);
    refresher.add("1");
    await vi.advanceTimersByTimeAsync(60);
    expect(reads.map(({ stale }) => stale)).toEqual([["1", "3"]]);
    reads[0]?.end();
    await vi.advanceTimersByTimeAsync(60);
    expect(reads.map(({ stale }) => stale)).toEqual([["1", "3"], ["1"]]);
    reads[1]?.end();
    refresher.addAll();
    await vi.advanceTimersByTimeAsync(60);
    expect(reads[2]?.stale).toEqual(["1", "2", "3"]);
  });

  it("is read by its next event when it could not be read", async () => {
    vi.useFakeTimers();
    const read = vi.fn().mockRejectedValue(new Error("the service does not answer"));
    const refresher = new Refresher(50, read);
    for (let tries = 1; tries <= 2; tries++) {
      refresher.add("1");
      await vi.advanceTimersByTimeAsync(60);
      expect(read).toHaveBeenCalledTimes(tries);
    }
  });
});
