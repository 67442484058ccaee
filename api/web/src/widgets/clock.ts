import { useSyncExternalStore } from "react";
import { countText } from "../plan/count";

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, "second"],
  [60, "minute"],
  [24, "hour"],
  [30, "day"],
  [12, "month"],
  [Number.POSITIVE_INFINITY, "year"],
];

/** How long ago, or in how long, in the words of the locale. */
export function relativeTime(at: number, now: number, locale?: string): string {
  let amount = Math.round((at - now) / 1000);
  if (Math.abs(amount) < 5) return "just now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(amount) < size) return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(amount, unit);
    amount = Math.round(amount / size);
  }
  return "";
}

const TENTHS = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A duration in short words: 0.4 s, 3 min, 2 h. */
export function durationText(seconds: number): string {
  if (seconds < 0.995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? TENTHS.format(seconds) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${countText(Math.round(seconds / 360) / 10)} h`;
  return `${countText(Math.round(seconds / 86_400))} days`;
}

/** A time of day in the zone of the viewer. */
export function clockText(at: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** A moment in the zone of the viewer, with its date. */
export function momentText(at: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(at);
}

/** A moment in UTC, to the second. */
export function utcText(at: number): string {
  return `${new Date(at).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, anew every second, for everything that shows an age: one timer for the page. */
export function useNow(): number {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      timer ??= setInterval(() => {
        now = Date.now();
        for (const call of listeners) call();
      }, 1000);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) {
          clearInterval(timer);
          timer = undefined;
        }
      };
    },
    () => now,
  );
}
