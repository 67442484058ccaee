import { type QueryKey, type UseQueryResult, useQueries, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { useApi } from "../api/context";
import type { LiveEvent, RecordRow } from "../api/types";
import { useLiveEvents } from "../live/LiveProvider";
import { Refresher } from "../live/refresher";
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
      // Events keep rows up to date while they are in view, and not afterwards.
      staleTime: Number.POSITIVE_INFINITY,
      gcTime: 0,
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
  const reload = useCallback(() => cache.refetchQueries({ queryKey: key }), [cache, key]);
  useLiveRows(organizationId, key, refresh);
  return { loaded, rows, error, isFetching, show, put, refresh, reload };
}

/** Keeps the rows of windows up to date: those that events name, and all when events may have been missed. */
function useLiveRows(organizationId: string, key: QueryKey, refresh: (pfaIds: string[]) => Promise<void>): void {
  const cache = useQueryClient();
  const refresher = useMemo(
    () =>
      new Refresher(GATHER, async (isStale) => {
        // A window that is being read may have its answer from before the event.
        const underWay = cache.getQueryCache().findAll({ queryKey: key, fetchStatus: "fetching" });
        await Promise.allSettled(underWay.map(({ promise }) => promise));
        const loaded = cache.getQueriesData<RecordRow[]>({ queryKey: key }).flatMap(([, rows]) => rows ?? []);
        await refresh(loaded.map(({ pfaId }) => pfaId).filter(isStale));
      }),
    [cache, key, refresh],
  );
  useEffect(() => () => refresher.stop(), [refresher]);
  useLiveEvents(
    (event: LiveEvent) => {
      if (event.organizationId === organizationId && event.pfaId) refresher.add(event.pfaId);
    },
    () => refresher.addAll(),
  );
}
