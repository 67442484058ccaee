import { useEffect, useMemo, useSyncExternalStore } from "react";
import { useHost } from "./Provider";
import type { SyncStatus } from "./StatusStore";

/**
 * Where records stand, by their id, kept up to date. For a grid: give the ids of the rows in view, or of all; equal lists
 * of ids are one request for each 200 of them.
 */
export function useSyncStatus(pfaIds: readonly string[]): ReadonlyMap<string, SyncStatus> {
  const { store } = useHost();
  const version = useSyncExternalStore(store.listen, store.current);
  const key = pfaIds.join("\n");
  // biome-ignore lint/correctness/useExhaustiveDependencies: the ids stand in the key
  useEffect(() => store.watch(pfaIds), [store, key]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the content of the store
  return useMemo(() => {
    const found = new Map<string, SyncStatus>();
    for (const pfaId of pfaIds) {
      const status = store.get(pfaId);
      if (status) found.set(pfaId, status);
    }
    return found;
  }, [store, key, version]);
}
