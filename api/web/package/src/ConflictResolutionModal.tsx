import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { reading, useApi } from "../../src/api/context";
import type { WholeRecord } from "../../src/api/types";
import type { Plan } from "../../src/conflicts/merge";
import { Resolver } from "../../src/conflicts/Resolver";
import { useResolution } from "../../src/conflicts/useResolution";
import { useMay } from "../../src/frame/me";
import { fieldOf } from "../../src/plan/fields";
import { sentence } from "../../src/plan/status";
import { Answered, Empty, Failed } from "../../src/widgets/Answered";
import { Dialog } from "../../src/widgets/Dialog";
import { tell, tellError } from "../../src/widgets/toasts";

type Props = { conflictId: string; onClose: () => void; onResolved?: (jobId: string) => void };

/** A conflict in a window: base, yours and PEMS side by side, by keyboard alone if wanted. */
export function ConflictResolutionModal({ conflictId, onClose, onResolved }: Props) {
  const api = useApi();
  const may = useMay();
  const { query, conflict, picks, setPicks, moved, pending, resolve, undo } = useResolution(conflictId);
  const [error, setError] = useState<unknown>();
  const record = useQuery({
    ...reading(api, "/api/pfa-data/records/{pfaId}", {
      path: { pfaId: conflict?.pfaId ?? "" },
      query: { organizationId: conflict?.organizationId ?? "" },
    }),
    enabled: conflict !== undefined,
  });
  const perform = async (plan: Plan) => {
    setError(undefined);
    const outcome = await resolve(plan);
    if (outcome.kind === "failed") return setError(outcome.error);
    if (outcome.kind === "moved") return;
    const restore = async () => {
      try {
        if (!(await undo(outcome.jobId))) tell("It was sent already, and stays resolved", { tone: "info" });
      } catch (failure) {
        tellError("It could not be undone", failure);
      }
    };
    tell(`Conflict of record ${conflict?.pfaId} is resolved`, { action: { label: "Undo", run: () => void restore() } });
    onResolved?.(outcome.jobId);
    onClose();
  };
  return (
    <Dialog wide title={conflict ? `Conflict of record ${conflict.pfaId}` : "Conflict"} onClose={onClose}>
      <Answered query={query} rows={4}>
        {({ data }) =>
          data.status === "unresolved" ? (
            <>
              <p className="text-secondary">{sentence(data.meaning ?? data.message ?? "")}.</p>
              {moved.length > 0 && (
                <p
                  role="alert"
                  className="rounded border border-attention-line bg-attention-back px-3 py-2 text-attention"
                >
                  The record moved while this window was open: {moved.map((name) => fieldOf(name).label).join(", ")}.
                  What is below is the new state; look at it and choose again.
                </p>
              )}
              {error !== undefined && <Failed title="It was not resolved" error={error} />}
              <Resolver
                inDialog
                conflict={data}
                picks={picks}
                onPicks={setPicks}
                record={record.data?.data as WholeRecord["data"] | undefined}
                moved={moved}
                locked={may("perm_Sync", data.organizationId)}
                pending={pending}
                onResolve={(plan) => void perform(plan)}
              />
            </>
          ) : (
            <Empty title="This conflict is resolved" />
          )
        }
      </Answered>
    </Dialog>
  );
}
