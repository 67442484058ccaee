import { readEvents, type Signal, type StreamOptions } from "./stream";

/**
 * Reads the event stream once for all tabs of a browser: the tab that holds the lock reads it and passes on what it
 * reports. When that tab closes, another one gets the lock and goes on from the last event it knows. Where the browser
 * has no locks (a page over plain HTTP), each tab reads its own stream.
 */
export async function shareEvents(name: string, options: Omit<StreamOptions, "lastEventId">): Promise<void> {
  const locks = globalThis.navigator?.locks;
  if (!locks || !("BroadcastChannel" in globalThis)) return readEvents(options);
  const channel = new BroadcastChannel(name);
  let position: string | undefined;
  const heard = (signal: Signal) => {
    if (signal.kind === "event") position = signal.event.eventId;
    options.onSignal(signal);
  };
  channel.onmessage = (message: MessageEvent<Signal>) => heard(message.data);
  options.signal.addEventListener("abort", () => channel.close());
  try {
    await locks.request(name, { signal: options.signal }, () =>
      readEvents({
        ...options,
        lastEventId: position,
        onSignal: (signal) => {
          heard(signal);
          if (!options.signal.aborted) channel.postMessage(signal);
        },
      }),
    );
  } catch (error) {
    if (!options.signal.aborted) throw error;
  }
}
