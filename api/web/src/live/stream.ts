import { createParser } from "eventsource-parser";
import type { LiveEvent } from "../api/types";

/** What a stream reports. */
export type Signal =
  | { kind: "event"; event: LiveEvent }
  /** The stream is live from here on; what was read before may lack what happened in between. */
  | { kind: "ready" }
  /** What was missed can't be sent one by one. */
  | { kind: "reload" }
  /** Something was heard, if only the comment that keeps the connection open. */
  | { kind: "heard" }
  | { kind: "lost"; reason: string };

export type StreamOptions = {
  url: string;
  getToken: () => string | null | Promise<string | null>;
  onSignal: (signal: Signal) => void;
  signal: AbortSignal;
  /** The position to go on from. */
  lastEventId?: string;
};

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** The service sends a comment every 15 s: a connection that is silent for longer is dead. */
const SILENCE = 40_000;

/**
 * Reads the event stream of the service until it is aborted. After each interruption it goes on from the last event,
 * so that nothing is missed and nothing comes twice. Read with fetch, since an EventSource cannot send a token.
 */
export async function readEvents(options: StreamOptions): Promise<void> {
  let position = options.lastEventId;
  let pause = FIRST_PAUSE;
  while (!options.signal.aborted) {
    let reason = "the service closed the stream";
    try {
      for await (const message of messages(options, position)) {
        pause = FIRST_PAUSE;
        if (message.id) position = message.id;
        options.onSignal(message.signal);
      }
    } catch (error) {
      if (options.signal.aborted) return;
      reason = error instanceof Error ? error.message : String(error);
    }
    if (options.signal.aborted) return;
    options.onSignal({ kind: "lost", reason });
    await rest(pause * (0.75 + Math.random() / 2), options.signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

type Message = { id?: string; signal: Signal };

async function* messages(options: StreamOptions, position: string | undefined): AsyncGenerator<Message> {
  const token = await options.getToken();
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE);
  const response = await fetch(options.url, {
    headers: {
      Accept: "text/event-stream",
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(position && { "Last-Event-ID": position }),
    },
    signal: AbortSignal.any([options.signal, silence.signal]),
  });
  if (!response.ok || !response.body) throw new Error(`the service answered ${response.status}`);
  const found: Message[] = [];
  const parser = createParser({
    onEvent: ({ id, event, data }) => found.push({ id, signal: signalOf(event ?? "", data) }),
    onComment: () => found.push({ signal: { kind: "heard" } }),
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      parser.feed(value);
      yield* found.splice(0);
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => undefined);
  }
}

function signalOf(event: string, data: string): Signal {
  if (event === "ready" || event === "reload") return { kind: event };
  return { kind: "event", event: JSON.parse(data) as LiveEvent };
}

/** Waits, but not beyond the end; a browser that is online again, or a page that is shown again, ends the wait. */
function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", end);
      globalThis.document?.removeEventListener("visibilitychange", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    globalThis.addEventListener?.("online", end);
    globalThis.document?.addEventListener("visibilitychange", end);
    signal.addEventListener("abort", end);
  });
}
