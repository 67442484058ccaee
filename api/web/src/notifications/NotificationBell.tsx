import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { NotificationList } from "./NotificationList";
import { useNotifications } from "./useNotifications";
import { placeOf } from "./words";

/** How many notifications are unread, and their list. */
export function NotificationBell() {
  const { query } = useNotifications();
  const navigate = useNavigate();
  const [isOpen, setOpen] = useState(false);
  const unread = query.data?.unread ?? 0;
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
        <NotificationList
          onClose={() => setOpen(false)}
          onOpen={(notification) => {
            setOpen(false);
            void navigate(placeOf(notification) as { to: "/" });
          }}
        />
      )}
    </>
  );
}
