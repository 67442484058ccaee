import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { reading, useApi } from "../api/context";
import type { JobProgress } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { Progress } from "../history/Progress";
import { controlPermission, stopJob } from "../history/stop";
import { counted, countText } from "../plan/count";
import { Button } from "../widgets/Button";
import { draftsKey } from "./selection";

const MOST = 5;

/** The user's edits of many records whose drafts are still being saved. They go on when the page is closed. */
export function RunningEdits({ organizationId, onEnded }: { organizationId: string; onEnded: () => void }) {
  const { userId } = useMe();
  const query = { organizationId, kind: "edit", state: "running", userId, limit: MOST };
  const { data } = useQuery(reading(useApi(), "/api/pems/jobs", { query }));
  const jobs = data?.jobs ?? [];
  const ids = jobs.map(({ jobId }) => jobId).join();
  const before = useRef(ids);
  const cache = useQueryClient();
  const end = useRef<() => void>(() => undefined);
  end.current = () => {
    void cache.invalidateQueries({ queryKey: draftsKey(organizationId) });
    onEnded();
  };
  useEffect(() => {
    const running = new Set(ids.split(","));
    const hasEnded = before.current !== "" && before.current.split(",").some((jobId) => !running.has(jobId));
    before.current = ids;
    if (hasEnded) end.current();
  }, [ids]);
  return jobs.map(({ jobId }) => <RunningEdit key={jobId} jobId={jobId} />);
}

function RunningEdit({ jobId }: { jobId: string }) {
  const api = useApi();
  const cache = useQueryClient();
  const may = useMay();
  const { data } = useQuery(reading(api, "/api/pems/jobs/{jobId}", { path: { jobId } }));
  const job = data as JobProgress | undefined;
  if (!job?.items) return null;
  const { done, waiting, skipped, failed } = job.items;
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t border-line bg-panel px-4 py-1">
      <Link to="/history/$jobId" params={{ jobId }} className="link">
        Edit {jobId}
      </Link>
      <span>
        {countText(done)} of {counted(done + waiting + skipped + failed, "draft is saved", "drafts are saved")}
      </span>
      <div className="min-w-32 grow">
        <Progress job={job} slim />
      </div>
      <Button
        aria-label={`Stop edit ${jobId}`}
        reason={may(controlPermission("edit", true), job.organizationId)}
        onClick={() => void stopJob(api, cache, jobId)}
      >
        Stop
      </Button>
    </div>
  );
}
