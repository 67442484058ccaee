import { useQuery } from "@tanstack/react-query";
import { CACHE, useApi } from "../api/context";
import type { components } from "../api/schema";

export type Filter = components["schemas"]["DeadLetterFilter"];

/** What a filter selects now, with the digest that guards against changes in between. */
export function useSelectionPreview(filter: Filter) {
  const api = useApi();
  return useQuery({
    queryKey: [CACHE, "/api/pems/dead-letters/preview", filter],
    queryFn: ({ signal }) => api.send("post", "/api/pems/dead-letters/preview", { body: { filter } }, signal),
    staleTime: 0,
  });
}
