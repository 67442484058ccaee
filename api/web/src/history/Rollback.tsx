import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, reading, readsBelow, useApi } from "../api/context";
import { ApiError } from "../api/problem";
import type { JobProgress } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { differenceText } from "../plan/amount";
import { counted, countText } from "../plan/count";
import { codeText } from "../plan/status";
import { Answered } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";
import { RollbackRecords } from "./RollbackRecords";

type Props = { jobId: string; batchId?: string; onCancel: () => void; onDone: (jobId: string) => void };

/** The preview of a rollback, its reason and its start. */
export function Rollback({ jobId, batchId, onCancel, onDone }: Props) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const [isConfirming, setConfirming] = useState(false);
  const [pending, setPending] = useState(false);
  const job = useQuery(reading(api, "/api/pems/jobs/{jobId}", { path: { jobId } }));
  const preview = useQuery({
    ...reading(api, "/api/pems/jobs/{jobId}/rollback", { path: { jobId }, query: { batchId } }),
    staleTime: 0,
  });
  const organizationId = (job.data as JobProgress | undefined)?.organizationId;
  const start = async (reason: string) => {
    setPending(true);
    try {
      const body = { batchId, reason, digest: preview.data?.digest ?? "" };
      const result = await api.send("post", "/api/pems/jobs/{jobId}/rollback", {
        path: { jobId },
        header: { "Idempotency-Key": idempotencyKey() },
        body,
      });
      const rolled = result.queued + result.withdrawn + result.waiting;
      tell(counted(rolled, "record is being rolled back", "records are being rolled back"), {
        lines: result.blocked ? [counted(result.blocked, "is left out", "are left out")] : [],
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      onDone(result.jobId);
    } catch (error) {
      setPending(false);
      if (error instanceof ApiError && error.code === "moved_on") {
        setConfirming(false);
        void cache.invalidateQueries(readsBelow("/api/pems/jobs"));
        tellError("The records have changed since the preview. It is read anew; nothing was rolled back", error);
      } else tellError("Nothing was rolled back", error);
    }
  };
  return (
    <Answered query={preview} rows={8}>
      {(data) => {
        const rolled = data.restores + data.withdraws;
        const label = `Roll back ${countText(rolled)}${data.blocked ? `, leave out ${countText(data.blocked)}` : ""}`;
        const locked =
          may("perm_ManageSettings", organizationId) ?? (rolled === 0 ? "Nothing can be rolled back" : undefined);
        return (
          <div className="flex flex-col gap-3">
            <div className="flex flex-wrap items-start gap-x-6 gap-y-3 px-4">
              <div className="min-w-72 grow">
                <p>
                  <strong className="font-medium">{countText(data.restores)}</strong>{" "}
                  {data.restores === 1 ? "record gets its values" : "records get their values"} from before the job, in
                  PEMS too;{" "}
                  {counted(
                    data.withdraws,
                    "queued change becomes a draft of its author",
                    "queued changes become drafts of their authors",
                  )}{" "}
                  again; {counted(data.blocked, "is left as it is", "are left as they are")}.
                </p>
                {data.blocked > 0 && (
                  <p className="text-attention">
                    Left out:{" "}
                    {Object.entries(data.byReason)
                      .map(([code, count]) => `${codeText(code).toLowerCase()} ${countText(Number(count))}`)
                      .join(", ")}
                    .
                  </p>
                )}
                {data.costChange != null && data.costChange !== 0 && (
                  <p>The forecast cost changes by {differenceText(data.costChange)}.</p>
                )}
                <p className="text-secondary">
                  What users changed since stays. Records that are not in the job are not touched. The rollback is a job
                  itself, and can be rolled back.
                </p>
              </div>
              <div className="flex gap-2">
                <Button onClick={onCancel}>Cancel</Button>
                <Button kind="primary" reason={locked} onClick={() => setConfirming(true)}>
                  {label}…
                </Button>
              </div>
            </div>
            <RollbackRecords jobId={jobId} batchId={batchId} />
            {isConfirming && (
              <Confirm
                title={`Roll back job ${jobId}`}
                action={label}
                danger
                reasonLength={10}
                pending={pending}
                typed={me.instance.production ? me.instance.name || "production" : undefined}
                onConfirm={(reason) => void start(reason)}
                onClose={() => setConfirming(false)}
              >
                <p>
                  {counted(
                    data.restores,
                    "record is written to PEMS again with its values",
                    "records are written to PEMS again with their values",
                  )}{" "}
                  from before the job. Records that changed since, and all records outside of the job, are not touched.
                </p>
              </Confirm>
            )}
          </div>
        );
      }}
    </Answered>
  );
}
