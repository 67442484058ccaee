import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CACHE, useApi } from "../api/context";
import { useDebounced } from "../widgets/useDebounced";

/** Records that something is done with, as the service takes them: some by their ids, or all that a search finds. */
export type Selection = { filter: Record<string, unknown>; search?: string };

/** As many records as are selected by their ids. */
export const MAX_IDS = 500;

/** The part of a cache's key that all reads of drafts share. */
export const draftsKey = (organizationId: string) => [CACHE, "/api/pfa-data/records", "drafts", organizationId];

/** How many records of a selection are in each state, such as `draft`. A record may be in several. */
export function useStateCounts(organizationId: string, selection: Selection, enabled = true) {
  const api = useApi();
  const settled = useDebounced(selection, 150);
  return useQuery({
    queryKey: [...draftsKey(organizationId), "counts", settled],
    queryFn: async ({ signal }) => {
      const body = { organizationId, ...settled, fields: ["state"] };
      const { facets } = await api.send("post", "/api/pfa-data/facets", { body }, signal);
      const [states] = facets as unknown as { values: { value: string; count: number }[] }[];
      return new Map(states?.values.map(({ value, count }) => [value, count]));
    },
    enabled,
    placeholderData: keepPreviousData,
  });
}
