import type { Notification } from "../api/types";
import { useCodeOf } from "../frame/me";
import { Answered, Empty } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Dialog } from "../widgets/Dialog";
import { Icon } from "../widgets/icons";
import { Time } from "../widgets/Time";
import { tellError } from "../widgets/toasts";
import { useNotifications } from "./useNotifications";
import { toneOf, wordsOf } from "./words";

const COLOURS = { done: "text-good", failed: "text-failed", info: "text-link" };
const ICONS = { done: "synced", failed: "warning", info: "info" } as const;

/** The user's notifications in a window. One that is opened is read. */
export function NotificationList({
  onClose,
  onOpen,
}: {
  onClose: () => void;
  onOpen: (notification: Notification) => void;
}) {
  const { query, markRead } = useNotifications();
  const codeOf = useCodeOf();
  const unread = query.data?.unread ?? 0;
  const mark = (ids?: string[]) => void markRead(ids).catch((error) => tellError("Not marked as read", error));
  return (
    <Dialog
      title="Notifications"
      onClose={onClose}
      actions={
        <Button reason={unread ? undefined : "All are read"} onClick={() => mark()}>
          Mark all as read
        </Button>
      }
    >
      <Answered query={query} rows={4}>
        {({ notifications }) =>
          notifications.length === 0 ? (
            <Empty title="No notifications yet">Outcomes of your edits appear here.</Empty>
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
                    <button
                      type="button"
                      className={`link text-left break-words ${notification.readAt ? "font-normal" : "font-medium"}`}
                      onClick={() => {
                        if (!notification.readAt) mark([notification.notificationId]);
                        onOpen(notification);
                      }}
                    >
                      {wordsOf(notification)}
                    </button>
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
  );
}
