import { useState } from "react";
import type { Notification } from "../../src/api/types";
import { NotificationList } from "../../src/notifications/NotificationList";
import { NotificationToasts } from "../../src/notifications/NotificationToasts";
import { useNotifications } from "../../src/notifications/useNotifications";
import { Button } from "../../src/widgets/Button";
import { Icon } from "../../src/widgets/icons";
import { type Intent, Scope, useHost } from "./Provider";

/** How many notifications are unread, their list, and messages about new ones, which are announced. */
export function SyncNotifications() {
  const { onIntent } = useHost();
  const { query } = useNotifications();
  const [isOpen, setOpen] = useState(false);
  const unread = query.data?.unread ?? 0;
  return (
    <Scope inline>
      <Button
        kind="quiet"
        aria-label={unread ? `Notifications, ${unread} unread` : "Notifications"}
        onClick={() => setOpen(true)}
      >
        <Icon name="alerts" />
        {unread > 0 && <span className="rounded-full bg-primary px-1.5 text-[11px] text-on-primary">{unread}</span>}
      </Button>
      {isOpen && (
        <NotificationList
          onClose={() => setOpen(false)}
          onOpen={(notification) => {
            setOpen(false);
            onIntent?.(intentOf(notification));
          }}
        />
      )}
      <NotificationToasts />
    </Scope>
  );
}

function intentOf({ kind, number, pfaIds, jobId, organizationId = null }: Notification): Intent {
  if (kind === "conflict") return { kind: "conflicts" };
  if (kind === "failed" || kind === "dead_letters") return { kind: "failures" };
  if (kind.startsWith("alert") || kind === "credentials") return { kind: "alerts" };
  if (number === 1 && pfaIds[0]) return { kind: "record", organizationId, pfaId: pfaIds[0] };
  return jobId ? { kind: "job", jobId } : { kind: "conflicts" };
}
