import { useEffect, useRef } from "react";

export type Binding = { keys: string; where: string; does: string };

/**
 * Every key of the dashboard. The help page, the command palette and the hints on buttons are made from this table.
 * Two keys with a blank between them are pressed one after the other.
 */
export const KEYS = {
  palette: { keys: "Mod+k", where: "Everywhere", does: "Open the command palette" },
  help: { keys: "?", where: "Everywhere", does: "Show the keys" },
  search: { keys: "/", where: "Everywhere", does: "Go to the search field" },
  theme: { keys: "t", where: "Everywhere", does: "Switch between light and dark" },
  overview: { keys: "g o", where: "Everywhere", does: "Go to the overview" },
  records: { keys: "g r", where: "Everywhere", does: "Go to the records" },
  conflicts: { keys: "g c", where: "Everywhere", does: "Go to the conflicts" },
  history: { keys: "g h", where: "Everywhere", does: "Go to the history" },
  failures: { keys: "g f", where: "Everywhere", does: "Go to the failures" },
  audit: { keys: "g l", where: "Everywhere", does: "Go to the audit log" },
  alerts: { keys: "g a", where: "Everywhere", does: "Go to the alerts" },
  administration: { keys: "g s", where: "Everywhere", does: "Go to the administration" },
  gridMove: { keys: "↑ ↓ ← →", where: "Records", does: "Move from cell to cell" },
  gridEdit: { keys: "Enter", where: "Records", does: "Edit the cell; Enter saves a draft, Escape leaves it" },
  gridSelect: { keys: "Space", where: "Records", does: "Select the row; with Shift up to the row selected before" },
  gridOpen: { keys: "o", where: "Records", does: "Open the record" },
  fieldMove: { keys: "↑ ↓", where: "Resolver", does: "Move from field to field" },
  sideMove: { keys: "← →", where: "Resolver", does: "Pick the side: base, yours or PEMS" },
  allOurs: { keys: "y", where: "Resolver", does: "Take your value in every field" },
  allTheirs: { keys: "p", where: "Resolver", does: "Take PEMS' value in every field" },
  editField: { keys: "e", where: "Resolver", does: "Write another value into the field" },
  resolve: { keys: "Enter", where: "Resolver", does: "Resolve the conflict as chosen" },
  nextConflict: { keys: "n", where: "Resolver", does: "Go to the next conflict" },
} as const satisfies Record<string, Binding>;

export type KeyName = keyof typeof KEYS;

/** The longest pause between two keys of a sequence. */
const SEQUENCE = 1200;

/** How the keys of a binding are shown on this machine. */
export function keyText(keys: string): string {
  const isMac = /mac|iphone|ipad/i.test(globalThis.navigator?.platform ?? "");
  return keys.replace("Mod+", isMac ? "⌘" : "Ctrl ").replace(/\bk$/, (key) => key.toUpperCase());
}

/** Whether an event types into something, so that letters belong there. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return Boolean(
    target?.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true]"),
  );
}

/** The key of an event as the table writes it. */
export function keyOf(event: KeyboardEvent): string {
  return (event.ctrlKey || event.metaKey ? "Mod+" : "") + event.key;
}

/**
 * Runs what belongs to a key while the component is mounted. Keys are off while the user types, and behind an open
 * window unless `inDialog`.
 */
export function useKeys(handlers: Partial<Record<KeyName, () => void>>, options: { inDialog?: boolean } = {}): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  const { inDialog } = options;
  useEffect(() => {
    let before = "";
    let at = 0;
    const press = (event: KeyboardEvent) => {
      const key = keyOf(event);
      if (event.defaultPrevented || event.altKey || (isTyping(event) && !key.startsWith("Mod+"))) return;
      if (!inDialog && document.querySelector("[data-window]")) return;
      const sequence = event.timeStamp - at < SEQUENCE ? `${before} ${key}` : key;
      before = key;
      at = event.timeStamp;
      for (const [name, run] of Object.entries(latest.current) as [KeyName, () => void][]) {
        const { keys } = KEYS[name];
        if (keys !== key && keys !== sequence) continue;
        // Enter and Space on a button or a link are its own.
        if (key === "Enter" && (event.target as HTMLElement).closest("a, button, summary")) return;
        event.preventDefault();
        before = "";
        run();
        return;
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [inDialog]);
}
