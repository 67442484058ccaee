import { type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useApi } from "../api/context";
import type { LiveEvent, RecordRow } from "../api/types";
import { useLiveEvents } from "../live/LiveProvider";
import type { Search } from "./tokens";

/** Rows of a window. Window k begins after k * WINDOW rows of the list. */
export const WINDOW = 200;
/** Longest time between an event of a record and its new state in the list. */
const GATHER = 300;

export type Order = { sort: string; descending: boolean };

/**
 * The records of a search, by windows: those that come into view are read, wherever in the list they are. Rows keep their
 * place: what is read anew is put where the row stands, and rows that came since are not shown. `reload` reads all windows
 * anew.
 */
export function useRecordWindows(organizationId: string, { filter, search, faults }: Search, order: Order) {
  const api = useApi();
  const cache = useQueryClient();
  const key = useMemo(
    () => ["pfa-sync.windows", organizationId, filter, search, order],
    [organizationId, filter, search, order],
  );
  const [opened, setOpened] = useState({ of: key, windows: [0] });
  const windows = useMemo(() => (opened.of === key ? opened.windows : [0]), [opened, key]);
  const combine = useCallback(
    (results: UseQueryResult<RecordRow[]>[]) => ({
      loaded: new Map(
        windows.flatMap((window, place) => {
          const rows = results[place]?.data;
          return rows ? [[window, rows] as const] : [];
        }),
      ),
      error: results.find(({ error }) => error)?.error ?? null,
      isFetching: results.some(({ isFetching }) => isFetching),
    }),
    [windows],
  );
  const { loaded, error, isFetching } = useQueries({
    queries: windows.map((window) => ({
      queryKey: [...key, window],
      queryFn: async ({ signal }: { signal: AbortSignal }) => {
        const body = { organizationId, filter, search, ...order, skip: window * WINDOW, limit: WINDOW };
        const { records } = await api.send("post", "/api/pfa-data/search", { body }, signal);
        return records as unknown as RecordRow[];
      },
      enabled: organizationId !== "" && faults.length === 0,
      staleTime: Number.POSITIVE_INFINITY,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
    })),
    combine,
  });
  const rows = useMemo(() => [...loaded].sort(([one], [other]) => one - other).flatMap(([, rows]) => rows), [loaded]);

  /** Reads the windows of these rows. */
  const show = useCallback(
    (first: number, last: number) =>
      setOpened((before) => {
        const known = before.of === key ? before.windows : [0];
        const added: number[] = [];
        for (let window = Math.floor(first / WINDOW); window <= Math.floor(last / WINDOW); window++)
          if (!known.includes(window)) added.push(window);
        return added.length === 0 ? before : { of: key, windows: [...known, ...added] };
      }),
    [key],
  );

  /** Puts new states of rows where the rows stand. */
  const put = useCallback(
    (changed: Map<string, RecordRow>) =>
      cache.setQueriesData<RecordRow[]>({ queryKey: key }, (rows) =>
        rows?.some(({ pfaId }) => changed.has(pfaId)) ? rows.map((row) => changed.get(row.pfaId) ?? row) : rows,
      ),
    [cache, key],
  );

  /** Reads rows anew where they stand. */
  const refresh = useCallback(
    async (pfaIds: string[]) => {
      for (let start = 0; start < pfaIds.length; start += WINDOW) {
        const body = { organizationId, filter: { pfa_ids: pfaIds.slice(start, start + WINDOW) }, limit: WINDOW };
        const { records } = await api.send("post", "/api/pfa-data/search", { body });
        put(new Map((records as unknown as RecordRow[]).map((row) => [row.pfaId, row])));
      }
    },
    [api, organizationId, put],
  );
  const reload = useCallback(() => {
    cache.removeQueries({ queryKey: key, type: "inactive" });
    return cache.refetchQueries({ queryKey: key });
  }, [cache, key]);
  useLiveRows(organizationId, rows, refresh);
  return { loaded, rows, error, isFetching, show, put, refresh, reload };
}
/** Keeps rows up to date: those that events name, and all when events may have been missed. */
function useLiveRows(organizationId: string, rows: RecordRow[], refresh: (pfaIds: string[]) => Promise<void>): void {
  const loaded = useMemo(() => new Set(rows.map(({ pfaId }) => pfaId)), [rows]);
  const waiting = useRef(new Set<string>());
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const act = useRef(refresh);
  act.current = refresh;
  const flush = useCallback(() => {
    timer.current = undefined;
    const ids = [...waiting.current];
    waiting.current.clear();
    // What can't be read now is read with the next event.
    act.current(ids).catch(() => undefined);
  }, []);
  useLiveEvents(
    (event: LiveEvent) => {
      if (event.organizationId !== organizationId || !event.pfaId || !loaded.has(event.pfaId)) return;
      waiting.current.add(event.pfaId);
      timer.current ??= setTimeout(flush, GATHER);
    },
    () => {
      for (const id of loaded) waiting.current.add(id);
      timer.current ??= setTimeout(flush, GATHER);
    },
  );
  useEffect(() => () => clearTimeout(timer.current), []);
}
