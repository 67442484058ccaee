import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CACHE, reading, useApi } from "../api/context";

/** The user's notifications, kept by the service: none is lost while the page is closed. */
export function useNotifications() {
  const api = useApi();
  const cache = useQueryClient();
  const query = useQuery(reading(api, "/api/pems/notifications", { query: { limit: 50 } }));
  const markRead = async (notificationIds?: string[]) => {
    await api.send("post", "/api/pems/notifications/read", { body: { notificationIds: notificationIds ?? null } });
    await cache.invalidateQueries({ queryKey: [CACHE, "/api/pems/notifications"] });
  };
  return { query, markRead };
}
