import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

/** What a page shows, as it stands in the address: every value is a text. */
export type View = Record<string, string | undefined>;

/** Reads an address. Unlike the router's own form, a number stays the text that it is. */
export function parseView(search: string): View {
  return Object.fromEntries(new URLSearchParams(search));
}

/** Writes an address; what is empty is left out. */
export function writeView(view: View): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) if (value) parameters.set(name, value);
  const text = parameters.toString();
  return text ? `?${text}` : "";
}

/**
 * The view of the page, and how to change it. A change replaces the entry of the browser's history unless it is a step
 * that the user wants to go back over.
 */
export function useView(): [View, (change: View, step?: boolean) => void] {
  const view = useSearch({ strict: false }) as View;
  const navigate = useNavigate();
  const change = useCallback(
    (change: View, step = false) =>
      void navigate({ to: ".", search: ((before: View) => ({ ...before, ...change })) as never, replace: !step }),
    [navigate],
  );
  return [view, change];
}
