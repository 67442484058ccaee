import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import type { JobProgress } from "../api/types";
import { useCodeOf } from "../frame/me";
import { useView } from "../frame/view";
import { counted } from "../plan/count";
import { Answered } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { Time } from "../widgets/Time";
import { JobActions } from "./JobActions";
import { JobChanges } from "./JobChanges";
import { JobItems } from "./JobItems";
import { JOB_KINDS, JOB_STATES } from "./kinds";
import { Progress } from "./Progress";

/** A job: how far it is, what may be done with it, and its records. */
export function JobPage() {
  const { jobId } = useParams({ strict: false }) as { jobId: string };
  const api = useApi();
  const [view, change] = useView();
  const codeOf = useCodeOf();
  const query = useQuery(reading(api, "/api/pems/jobs/{jobId}", { path: { jobId } }));
  return (
    <Page
      title={
        <span className="flex items-center gap-2">
          <Link to="/history" search={{ org: view.org } as never} className="link text-sm font-normal">
            History
          </Link>
          <Icon name="right" size={14} className="text-secondary" />
          {query.data ? `${JOB_KINDS[query.data.kind] ?? query.data.kind} ${jobId}` : `Job ${jobId}`}
        </span>
      }
      aside={query.data && <JobActions job={query.data as JobProgress} />}
    >
      <Answered query={query} rows={8}>
        {(data) => {
          const job = data as JobProgress;
          const made = job.pending + job.processing + job.completed + job.conflict + job.failed + job.withdrawn;
          const tab = view.tab ?? (made === 0 && job.items ? "items" : "changes");
          return (
            <div className="flex flex-col gap-3">
              <div className="flex flex-col gap-2 px-4">
                <p>
                  Started by <strong className="font-medium">{job.userName}</strong> <Time at={job.createdAt} /> in{" "}
                  {codeOf(job.organizationId)}, with {counted(job.records, "record", "records")}.{" "}
                  {JOB_STATES[job.state] ?? job.state}.
                  {job.originJobId && (
                    <>
                      {" "}
                      It reverses{" "}
                      <Link
                        to="/history/$jobId"
                        params={{ jobId: job.originJobId }}
                        search={{ org: view.org } as never}
                        className="link"
                      >
                        job {job.originJobId}
                      </Link>
                      .
                    </>
                  )}
                </p>
                {job.reason && <p>Reason: {job.reason}</p>}
                {job.items?.note && (
                  <p className="text-attention">
                    {job.state === "stopped" ? "Stopped" : "Note"}: {job.items.note}
                    {job.items.changedBy ? ` (${job.items.changedBy})` : ""}
                  </p>
                )}
                {job.items && job.items.stages.length > 0 && (
                  <p className="text-secondary">
                    Sent in stages of {job.items.stages.join(", then ")}, then the rest; stops{" "}
                    {job.items.stopAt > 0 ? `when ${job.items.stopAt} % have failed` : "at the first failure"}.
                  </p>
                )}
                <Progress job={job} />
                {job.kind === "edit" && (
                  <p>
                    <Link
                      to="/records"
                      search={{ org: codeOf(job.organizationId), state: "draft" } as never}
                      className="link"
                    >
                      Review and commit the drafts
                    </Link>
                  </p>
                )}
              </div>
              {job.items && made > 0 && (
                <div className="flex gap-1 px-4">
                  <Button
                    kind={tab === "changes" ? "plain" : "quiet"}
                    aria-pressed={tab === "changes"}
                    onClick={() => change({ tab: "changes" })}
                  >
                    Changes
                  </Button>
                  <Button
                    kind={tab === "items" ? "plain" : "quiet"}
                    aria-pressed={tab === "items"}
                    onClick={() => change({ tab: "items" })}
                  >
                    Items
                  </Button>
                </div>
              )}
              {tab === "items" ? (
                <JobItems jobId={jobId} organizationId={job.organizationId} />
              ) : (
                <JobChanges jobId={jobId} organizationId={job.organizationId} />
              )}
            </div>
          );
        }}
      </Answered>
    </Page>
  );
}
