import { type InfiniteData, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useApi } from "../api/context";
import type { LiveEvent, RecordRow } from "../api/types";
import { useLiveEvents } from "../live/LiveProvider";
import type { Search } from "./tokens";

const WINDOW = 200;
/** Longest time between an event of a record and its new state in the list. */
const GATHER = 300;

export type Order = { sort: string; descending: boolean };
type Page = { records: RecordRow[]; next?: string | null };

/**
 * The records of a search, by windows that are read as they come into view. Rows keep their place: what is read anew is
 * put where the row stands. Rows that came since are not in it.
 */
export function useRecordWindows(organizationId: string, { filter, search, faults }: Search, order: Order) {
  const api = useApi();
  const cache = useQueryClient();
  const key = useMemo(
    () => ["pfa-sync.windows", organizationId, filter, search, order],
    [organizationId, filter, search, order],
  );
  const query = useInfiniteQuery<Page, Error, InfiniteData<Page>, unknown[], string | undefined>({
    queryKey: key,
    queryFn: async ({ pageParam, signal }) =>
      (await api.send(
        "post",
        "/api/pfa-data/search",
        { body: { organizationId, filter, search, ...order, after: pageParam, limit: WINDOW } },
        signal,
      )) as unknown as Page,
    initialPageParam: undefined,
    getNextPageParam: ({ next }) => next ?? undefined,
    enabled: organizationId !== "" && faults.length === 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  const rows = useMemo(() => query.data?.pages.flatMap(({ records }) => records) ?? [], [query.data]);

  /** Puts new states of rows where the rows stand. */
  const put = useCallback(
    (changed: Map<string, RecordRow>) =>
      cache.setQueryData<InfiniteData<Page>>(key, (data) => {
        if (!data) return data;
        const hasChange = ({ records }: Page) => records.some(({ pfaId }) => changed.has(pfaId));
        const pages = data.pages.map((page) =>
          hasChange(page) ? { ...page, records: page.records.map((row) => changed.get(row.pfaId) ?? row) } : page,
        );
        return { ...data, pages };
      }),
    [cache, key],
  );

  /** Reads rows anew. */
  const refresh = useCallback(
    async (pfaIds: string[]) => {
      for (let start = 0; start < pfaIds.length; start += WINDOW) {
        const body = { organizationId, filter: { pfa_ids: pfaIds.slice(start, start + WINDOW) }, limit: WINDOW };
        const page = (await api.send("post", "/api/pfa-data/search", { body })) as unknown as Page;
        put(new Map(page.records.map((row) => [row.pfaId, row])));
      }
    },
    [api, organizationId, put],
  );
  useLiveRows(organizationId, rows, refresh);
  return { query, rows, put, refresh };
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
