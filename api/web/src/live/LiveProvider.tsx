import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useRef } from "react";
import { useApi } from "../api/context";
import type { LiveEvent } from "../api/types";
import { CacheUpdater } from "./cache";
import { ConnectionState, type State, useConnection } from "./connection";
import { shareEvents } from "./shared";

type Listener = (event: LiveEvent) => void;
type Live = { connection: ConnectionState; listeners: Set<Listener>; missed: Set<() => void> };

const LiveContext = createContext<Live | null>(null);
const CHECK_INTERVAL = 1000;

/** Keeps everything below up to date by one event stream, which all tabs of the user share. */
export function LiveProvider({ user, children }: { user: string; children: ReactNode }) {
  const api = useApi();
  const cache = useQueryClient();
  const live = useMemo<Live>(
    () => ({ connection: new ConnectionState(), listeners: new Set(), missed: new Set() }),
    [],
  );
  useEffect(() => {
    const end = new AbortController();
    const updater = new CacheUpdater(cache);
    void shareEvents(`pfa-sync.events.${user}`, {
      url: `${api.connection.baseUrl}/api/pems/events`,
      getToken: api.connection.getToken,
      signal: end.signal,
      onSignal: (signal) => {
        if (signal.kind === "lost") return live.connection.lost();
        live.connection.heard();
        if (signal.kind === "event") {
          updater.take(signal.event);
          for (const listener of live.listeners) listener(signal.event);
        } else if (signal.kind === "ready" || signal.kind === "reload") {
          // What was read before the stream was live may lack what happened in between.
          updater.takeAll();
          for (const listener of live.missed) listener();
        }
      },
    });
    const timer = setInterval(() => live.connection.check(), CHECK_INTERVAL);
    return () => {
      end.abort();
      updater.stop();
      clearInterval(timer);
    };
  }, [api, cache, live, user]);
  return <LiveContext.Provider value={live}>{children}</LiveContext.Provider>;
}

function useLive(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error("there is no LiveProvider above this component");
  return live;
}

/** Whether the page hears the service. */
export function useLiveState(): State {
  return useConnection(useLive().connection);
}

/** Calls back with each event while the component is mounted, and when events may have been missed. */
export function useLiveEvents(listener: Listener, onMissed?: () => void): void {
  const { listeners, missed } = useLive();
  const latest = useRef({ listener, onMissed });
  latest.current = { listener, onMissed };
  useEffect(() => {
    const call: Listener = (event) => latest.current.listener(event);
    const callMissed = () => latest.current.onMissed?.();
    listeners.add(call);
    missed.add(callMissed);
    return () => {
      listeners.delete(call);
      missed.delete(callMissed);
    };
  }, [listeners, missed]);
}
