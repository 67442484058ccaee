import { momentText, relativeTime, useNow, utcText } from "./clock";

/** An event's time: how long ago it was, and on hover when, in the viewer's zone and in UTC. */
export function Time({ at, absolute = false }: { at: string; absolute?: boolean }) {
  const now = useNow();
  const time = Date.parse(at);
  if (Number.isNaN(time)) return null;
  return (
    <time dateTime={at} title={`${momentText(time)}\n${utcText(time)}`} className="whitespace-nowrap">
      {absolute ? momentText(time) : relativeTime(time, Math.max(now, time < now ? now : 0))}
    </time>
  );
}
