import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import type { Conflict } from "../api/types";
import { movedFields, type Picks, type Plan, stillValid } from "./merge";

const PATH = "/api/pems/conflicts/{conflictId}";

/** What became of an attempt to resolve. */
export type Outcome =
  | { kind: "resolved"; jobId: string; sends: number }
  | { kind: "moved" }
  | { kind: "failed"; error: unknown };

/**
 * A conflict that is being resolved: its state with its ETag, what was picked, and what moved meanwhile. A resolution is
 * for the state that was shown; when either side has moved, the new state is shown and what still holds stays picked.
 */
export function useResolution(conflictId: string) {
  const api = useApi();
  const cache = useQueryClient();
  const key = [CACHE, PATH, { path: { conflictId } }];
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => api.sendTagged("get", PATH, { path: { conflictId } }, signal),
  });
  const [picks, setPicks] = useState<Picks>({});
  const [moved, setMoved] = useState<string[]>([]);
  const [pending, setPending] = useState(false);
  const shown = useRef<Conflict>(undefined);

  const data = query.data?.data;
  useEffect(() => {
    const before = shown.current;
    if (data && before && before.conflictId === data.conflictId && before.state !== data.state) {
      setMoved(movedFields(before, data));
      setPicks((picks) => stillValid(picks, before, data));
    }
    if (data && before?.conflictId !== data.conflictId) {
      setPicks({});
      setMoved([]);
    }
    shown.current = data;
  }, [data]);

  const resolve = async (plan: Plan): Promise<Outcome> => {
    setPending(true);
    try {
      const result = await api.send("post", `${PATH}/resolve`, {
        path: { conflictId },
        header: { "If-Match": query.data?.tag ?? undefined, "Idempotency-Key": idempotencyKey() },
        body: { resolution: plan.resolution, mergedData: plan.mergedData },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      return { kind: "resolved", jobId: result.jobId, sends: Object.keys(result.appliedChanges).length };
    } catch (error) {
      if (error instanceof ApiError && error.code === "moved_on") {
        await query.refetch();
        return { kind: "moved" };
      }
      return { kind: "failed", error };
    } finally {
      setPending(false);
    }
  };

  /** Opens the conflict again, as long as its change was not sent. */
  const undo = async (jobId: string): Promise<boolean> => {
    const { undone, waiting } = await api.send("post", "/api/pems/jobs/{jobId}/undo", {
      path: { jobId },
      header: { "Idempotency-Key": idempotencyKey() },
      body: { reason: "Undone by its author in the dashboard" },
    });
    void cache.invalidateQueries({ queryKey: [CACHE] });
    return undone + waiting > 0;
  };

  return { query, conflict: data, picks, setPicks, moved, pending, resolve, undo };
}
