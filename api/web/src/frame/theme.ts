import { useSyncExternalStore } from "react";

const KEY = "pfa-sync.theme";
export type Theme = "dark" | "light";

const listeners = new Set<() => void>();

/** The theme in use: the user's choice, else that of the system, else dark. */
export function currentTheme(): Theme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "dark" || chosen === "light") return chosen;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = currentTheme();
  document.documentElement.dataset.pfaSync = "";
}

export function switchTheme(): void {
  localStorage.setItem(KEY, currentTheme() === "dark" ? "light" : "dark");
  applyTheme();
  for (const listener of listeners) listener();
}

export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, currentTheme);
}
