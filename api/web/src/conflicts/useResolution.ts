import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, reading, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import type { Conflict, WholeRecord } from "../api/types";
import { counted } from "../plan/count";
import { tell, tellError } from "../widgets/toasts";
import { movedFields, type Picks, planOf, stillValid } from "./merge";
import { useCheck } from "./useCheck";

const PATH = "/api/pems/conflicts/{conflictId}";

type Options = {
  onResolved: (jobId: string) => void;
  /** The user has undone the resolution: the conflict is open again. */
  onReopened?: () => void;
};

/**
 * A conflict that is being resolved: its state with its ETag, the record in PEMS, what was picked, and what moved
 * meanwhile. A resolution is for the state that was shown; when either side has moved, the new state is shown and what
 * still holds stays picked.
 */
export function useResolution(conflictId: string, { onResolved, onReopened }: Options) {
  const api = useApi();
  const cache = useQueryClient();
  const query = useQuery({
    queryKey: [CACHE, PATH, { path: { conflictId } }],
    queryFn: ({ signal }) => api.sendTagged("get", PATH, { path: { conflictId } }, signal),
  });
  const conflict = query.data?.data;
  const record = useQuery({
    ...reading(api, "/api/pfa-data/records/{pfaId}", {
      path: { pfaId: conflict?.pfaId ?? "" },
      query: { organizationId: conflict?.organizationId ?? "" },
    }),
    enabled: conflict !== undefined,
  });
  const [picks, setPicks] = useState<Picks>({});
  const [moved, setMoved] = useState<string[]>([]);
  const [isRefused, setRefused] = useState(false);
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<unknown>();
  const shown = useRef<Conflict>(undefined);
  const plan = useMemo(() => (conflict ? planOf(conflict, picks) : undefined), [conflict, picks]);
  const check = useCheck(conflict, plan);

  useEffect(() => {
    const before = shown.current;
    if (conflict && before && before.conflictId === conflict.conflictId && before.state !== conflict.state) {
      setMoved(movedFields(before, conflict));
      setPicks((picks) => stillValid(picks, before, conflict));
    }
    if (conflict && before?.conflictId !== conflict.conflictId) {
      setRefused(false);
      setPicks({});
      setMoved([]);
    }
    shown.current = conflict;
  }, [conflict]);

  /** Opens the conflict again, as long as its change was not sent. */
  const undo = async (jobId: string) => {
    try {
      const { undone, waiting } = await api.send("post", "/api/pems/jobs/{jobId}/undo", {
        path: { jobId },
        header: { "Idempotency-Key": idempotencyKey() },
        body: { reason: "Undone by its author in the dashboard" },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      if (undone + waiting > 0) onReopened?.();
      else
        tell("It was sent already, and stays resolved", {
          tone: "info",
          lines: ["Roll it back from the history instead."],
        });
    } catch (failure) {
      tellError("It could not be undone", failure);
    }
  };

  const resolve = async () => {
    if (!plan) return;
    const { resolution, mergedData } = plan;
    setPending(true);
    setRefused(false);
    setError(undefined);
    try {
      const { jobId, appliedChanges } = await api.send("post", `${PATH}/resolve`, {
        path: { conflictId },
        header: { "If-Match": query.data?.tag ?? undefined, "Idempotency-Key": idempotencyKey() },
        body: { resolution, mergedData },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      const sends = Object.keys(appliedChanges).length;
      tell(`Conflict of record ${conflict?.pfaId} is resolved`, {
        lines: [sends ? counted(sends, "field is sent to PEMS", "fields are sent to PEMS") : "Nothing is sent"],
        action: { label: "Undo", run: () => void undo(jobId) },
      });
      onResolved(jobId);
    } catch (failure) {
      if (failure instanceof ApiError && failure.code === "moved_on") {
        setRefused(true);
        await query.refetch();
      } else setError(failure);
    } finally {
      setPending(false);
    }
  };

  return {
    query,
    conflict,
    record: record.data?.data as WholeRecord["data"] | undefined,
    picks,
    setPicks,
    plan,
    check,
    moved,
    /** It was not resolved, since the record had moved. */
    isRefused,
    pending,
    error,
    resolve,
  };
}

export type Resolution = ReturnType<typeof useResolution>;
