import { useQuery } from "@tanstack/react-query";
import { reading, useApi } from "../api/context";
import { useOrganization } from "./organization";

/** The state of synchronisation of the chosen organization, or of all. One read serves every page. */
export function useSyncStatusQuery() {
  const api = useApi();
  const organization = useOrganization();
  return useQuery(reading(api, "/api/pems/sync-status", { query: { organizationId: organization?.organizationId } }));
}

/** How much waits for a person, by the page that shows it. */
export function useCounts(): Record<string, number> {
  const { data } = useSyncStatusQuery();
  const api = useApi();
  const organization = useOrganization();
  const alerts = useQuery(
    reading(api, "/api/pems/alerts", {
      query: { organizationId: organization?.organizationId, state: "raised", limit: 200 },
    }),
  );
  if (!data) return {};
  const conflicts = data.organizations.reduce((sum, { conflicts }) => sum + conflicts, 0);
  return { "/conflicts": conflicts, "/failures": data.failed, "/alerts": alerts.data?.alerts.length ?? 0 };
}
