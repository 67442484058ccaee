import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useCodeOf } from "../frame/me";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Dialog } from "../widgets/Dialog";
import { Icon } from "../widgets/icons";
import { Time } from "../widgets/Time";
import { tellError } from "../widgets/toasts";
import { useNotifications } from "./useNotifications";
import { placeOf, toneOf, wordsOf } from "./words";

const COLOURS = { done: "text-good", failed: "text-failed", info: "text-link" };
const ICONS = { done: "synced", failed: "warning", info: "info" } as const;

/** How many notifications are unread, and their list. */
export function NotificationBell() {
  const { query, markRead } = useNotifications();
  const [isOpen, setOpen] = useState(false);
  const codeOf = useCodeOf();
  const unread = query.data?.unread ?? 0;
  const mark = (ids?: string[]) => void markRead(ids).catch((error) => tellError("Not marked as read", error));
  return (
    <>
      <Button
        kind="quiet"
        aria-label={unread ? `Notifications, ${unread} unread` : "Notifications"}
        tip="Notifications"
        onClick={() => setOpen(true)}
      >
        <Icon name="alerts" />
        {unread > 0 && (
          <span className="rounded-full bg-primary px-1.5 text-[11px] font-medium text-on-primary">
            {unread > 99 ? "99+" : unread}
          </span>
        )}
      </Button>
      {isOpen && (
        <Dialog
          title="Notifications"
          onClose={() => setOpen(false)}
          actions={
            <Button reason={unread ? undefined : "All are read"} onClick={() => mark()}>
              Mark all as read
            </Button>
          }
        >
          <Answered query={query} rows={4}>
            {({ notifications }) =>
              notifications.length === 0 ? (
                <Empty title="No notifications yet">You are told here what becomes of your edits.</Empty>
              ) : (
                <ul className="flex max-h-[60vh] flex-col overflow-y-auto">
                  {notifications.map((notification) => (
                    <li
                      key={notification.notificationId}
                      className={`flex items-start gap-2 border-b border-line px-1 py-2 ${notification.readAt ? "text-secondary" : ""}`}
                    >
                      <Icon
                        name={ICONS[toneOf(notification)]}
                        size={15}
                        className={`mt-0.5 shrink-0 ${notification.readAt ? "" : COLOURS[toneOf(notification)]}`}
                      />
                      <span className="min-w-0 grow">
                        <Link
                          {...(placeOf(notification) as { to: "/" })}
                          className={`link break-words ${notification.readAt ? "font-normal" : "font-medium"}`}
                          onClick={() => {
                            setOpen(false);
                            if (!notification.readAt) mark([notification.notificationId]);
                          }}
                        >
                          {wordsOf(notification)}
                        </Link>
                        <span className="block text-xs text-secondary">
                          {notification.organizationId && `${codeOf(notification.organizationId)}, `}
                          <Time at={notification.lastAt} />
                          {!notification.readAt && ", unread"}
                        </span>
                      </span>
                      {!notification.readAt && (
                        <Button
                          kind="text"
                          className="text-xs"
                          onClick={() => mark([notification.notificationId])}
                          aria-label={`Mark as read: ${wordsOf(notification)}`}
                        >
                          Mark as read
                        </Button>
                      )}
                    </li>
                  ))}
                </ul>
              )
            }
          </Answered>
        </Dialog>
      )}
    </>
  );
}
