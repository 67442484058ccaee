import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { idempotencyKey } from "../api/client";
import { CACHE, readsBelow, useApi } from "../api/context";
import type { JobProgress } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { useView } from "../frame/view";
import { counted, countText } from "../plan/count";
import { Button } from "../widgets/Button";
import { Confirm } from "../widgets/Confirm";
import { tell, tellError } from "../widgets/toasts";
import { controlPermission, stopJob } from "./stop";

/** What may be done with a job: stop and continue it, undo it, roll it back. Only what applies is offered. */
export function JobActions({ job }: { job: JobProgress }) {
  const api = useApi();
  const cache = useQueryClient();
  const me = useMe();
  const may = useMay();
  const [{ org }] = useView();
  const [isUndoing, setUndoing] = useState(false);
  const path = { jobId: job.jobId };
  const isOwn = job.userId === me.userId;
  const locked = may(controlPermission(job.kind, isOwn), job.organizationId);
  const goOn = async () => {
    try {
      await api.send("post", "/api/pems/jobs/{jobId}/continue", { path });
      tell(`Job ${job.jobId} goes on`);
      void cache.invalidateQueries(readsBelow("/api/pems/jobs"));
    } catch (error) {
      tellError("It was not continued", error);
    }
  };
  const undo = async (reason: string) => {
    setUndoing(false);
    try {
      const result = await api.send("post", "/api/pems/jobs/{jobId}/undo", {
        path,
        header: { "Idempotency-Key": idempotencyKey() },
        body: { reason },
      });
      tell(`${countText(result.undone + result.waiting)} undone`, {
        lines: result.leftAsIs
          ? [counted(result.leftAsIs, "was sent already, and stays", "were sent already, and stay")]
          : [],
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
    } catch (error) {
      tellError("It was not undone", error);
    }
  };
  return (
    <>
      {job.items && job.state === "running" && job.items.waiting > 0 && (
        <Button reason={locked} onClick={() => void stopJob(api, cache, job.jobId)}>
          Stop
        </Button>
      )}
      {job.state === "stopped" && (
        <Button kind="primary" reason={locked} onClick={() => void goOn()}>
          Continue
        </Button>
      )}
      {job.inverses.includes("undo") && (
        <Button
          reason={may(isOwn ? "perm_Sync" : "perm_ManageSettings", job.organizationId)}
          onClick={() => setUndoing(true)}
        >
          Undo…
        </Button>
      )}
      {job.inverses.includes("rollback") &&
        (may("perm_ManageSettings", job.organizationId) ? (
          <Button reason={may("perm_ManageSettings", job.organizationId)}>Roll back…</Button>
        ) : (
          <Link
            to="/history/$jobId/rollback"
            params={path}
            search={{ org } as never}
            className="inline-flex min-h-8 items-center rounded-md border border-control px-2.5 hover:bg-hover"
          >
            Roll back…
          </Link>
        ))}
      {isUndoing && (
        <Confirm
          title={`Undo job ${job.jobId}`}
          action="Undo"
          reasonLength={1}
          onConfirm={(reason) => void undo(reason)}
          onClose={() => setUndoing(false)}
        >
          <p>
            What this job decided is taken back as far as it was not sent. What PEMS has already stays, and can be
            rolled back. Other jobs are not touched.
          </p>
        </Confirm>
      )}
    </>
  );
}
