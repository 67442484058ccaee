import { useCallback, useMemo, useState } from "react";
import type { RecordRow } from "../api/types";
import { useSelection } from "../lists/useSelection";
import type { Selection } from "./selection";
import type { Search } from "./tokens";
import { WINDOW } from "./useRecordWindows";

/**
 * Which records are selected: some of the rows that were read, or all that the search finds, however many. Another search
 * ends a selection of the whole search; taking a row out of it leaves the other rows that were read.
 */
export function useRecordSelection(search: Search, loaded: ReadonlyMap<number, RecordRow[]>, keys: string[]) {
  const { selected, toggle, set, clear } = useSelection();
  const [whole, setWhole] = useState<Search | null>(null);
  const isSearch = whole === search;
  const shown = useMemo(() => (isSearch ? new Set(keys) : selected), [isSearch, keys, selected]);
  const selection = useMemo<Selection>(
    () => (isSearch ? { filter: search.filter, search: search.search } : { filter: { pfa_ids: [...selected] } }),
    [isSearch, search, selected],
  );
  const selectAll = useCallback(
    (pfaIds: string[]) => {
      setWhole(null);
      set(pfaIds);
    },
    [set],
  );
  const select = useCallback(
    (index: number, range: boolean) => {
      const row = loaded.get(Math.floor(index / WINDOW))?.[index % WINDOW];
      if (!row) return;
      if (isSearch) selectAll(keys.filter((pfaId) => pfaId !== row.pfaId));
      else toggle(row.pfaId, range ? { keys: runAround(loaded, Math.floor(index / WINDOW)) } : undefined);
    },
    [isSearch, keys, loaded, selectAll, toggle],
  );
  const selectSearch = useCallback(() => setWhole(search), [search]);
  const selectNone = useCallback(() => {
    setWhole(null);
    clear();
  }, [clear]);
  return { selection, selected: shown, isSearch, select, selectAll, selectSearch, clear: selectNone };
}

/** The ids of the rows around a window, as far as every row between them was read: a range has no gaps. */
function runAround(loaded: ReadonlyMap<number, RecordRow[]>, window: number): string[] {
  let first = window;
  while (loaded.has(first - 1)) first--;
  const ids: string[] = [];
  for (let next = first; loaded.has(next); next++) ids.push(...(loaded.get(next) ?? []).map(({ pfaId }) => pfaId));
  return ids;
}
