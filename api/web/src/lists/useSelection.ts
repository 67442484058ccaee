import { useCallback, useRef, useState } from "react";

/** Which rows of a list are selected, by their keys. With `range`, all from the row selected before. */
export function useSelection() {
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const last = useRef<string | undefined>(undefined);
  const toggle = useCallback((key: string, range?: { keys: string[] }) => {
    // Read now: the updater runs later, when it is another row.
    const from = last.current;
    last.current = key;
    setSelected((before) => {
      const after = new Set(before);
      const [start, end] = [from ? (range?.keys.indexOf(from) ?? -1) : -1, range?.keys.indexOf(key) ?? -1];
      if (range && start >= 0 && end >= 0) {
        for (const other of range.keys.slice(Math.min(start, end), Math.max(start, end) + 1)) after.add(other);
      } else if (!after.delete(key)) after.add(key);
      return after;
    });
  }, []);
  const set = useCallback((keys: Iterable<string>) => setSelected(new Set(keys)), []);
  const clear = useCallback(() => setSelected(new Set()), []);
  return { selected, toggle, set, clear };
}
