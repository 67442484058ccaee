import { useEffect, useRef } from "react";
import { tell } from "../widgets/toasts";
import { useNotifications } from "./useNotifications";
import { toneOf, wordsOf } from "./words";

/** The largest number that is shown one by one; more are shown as a count. */
const SINGLY = 2;

/** Tells what is new since the page was opened. What came while the tab slept is told when it wakes. */
export function NotificationToasts() {
  const { data } = useNotifications().query;
  const known = useRef<Map<string, string>>(undefined);
  useEffect(() => {
    if (!data) return;
    const before = known.current;
    known.current = new Map(data.notifications.map(({ notificationId, lastAt }) => [notificationId, lastAt]));
    if (!before) return;
    const fresh = data.notifications.filter(
      ({ notificationId, lastAt, readAt }) => !readAt && before.get(notificationId) !== lastAt,
    );
    if (fresh.length > SINGLY) tell(`${fresh.length} new notifications`, { tone: "info" });
    else for (const notification of fresh) tell(wordsOf(notification), { tone: toneOf(notification), brief: true });
  }, [data]);
  return null;
}
