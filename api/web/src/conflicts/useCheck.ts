import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CACHE, useApi } from "../api/context";
import type { Conflict, ResolutionCheck } from "../api/types";
import { useDebounced } from "../widgets/useDebounced";
import type { Plan } from "./merge";

/** What the service says about a resolution. */
export type Check = {
  /** The latest answer; it stays while the next one is on its way. */
  answer?: ResolutionCheck;
  /** Whether the answer is that to what is chosen now. */
  isCurrent: boolean;
  error?: unknown;
};

/** Asks what a resolution would send and why it would be refused, once the choice has stayed the same for a moment. */
export function useCheck(conflict: Conflict | undefined, plan: Plan | undefined): Check {
  const api = useApi();
  const conflictId = conflict?.conflictId ?? "";
  const isWhole = plan !== undefined && plan.open.length === 0;
  const chosen = isWhole ? JSON.stringify({ resolution: plan.resolution, mergedData: plan.mergedData }) : "";
  const settled = useDebounced(chosen);
  const query = useQuery({
    queryKey: [CACHE, "/api/pems/conflicts/check", conflictId, conflict?.state, settled],
    queryFn: async ({ signal }) =>
      (await api.send(
        "post",
        "/api/pems/conflicts/{conflictId}/check",
        { path: { conflictId }, body: JSON.parse(settled) },
        signal,
      )) as unknown as ResolutionCheck,
    enabled: settled !== "" && conflict?.status === "unresolved",
    placeholderData: keepPreviousData,
    staleTime: 0,
  });
  return {
    answer: isWhole ? query.data : undefined,
    isCurrent: isWhole && settled === chosen && query.isSuccess && !query.isPlaceholderData,
    error: query.error ?? undefined,
  };
}
