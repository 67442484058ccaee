import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useView } from "../frame/view";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { Rollback } from "./Rollback";

/** What rolling a job back would do, record by record, and doing it. */
export function RollbackPage() {
  const { jobId } = useParams({ strict: false }) as { jobId: string };
  const [{ org, batch }] = useView();
  const navigate = useNavigate();
  return (
    <Page
      title={
        <span className="flex items-center gap-2">
          <Link to="/history/$jobId" params={{ jobId }} search={{ org } as never} className="link text-sm font-normal">
            Job {jobId}
          </Link>
          <Icon name="right" size={14} className="text-secondary" />
          Roll back
        </span>
      }
    >
      <Rollback
        jobId={jobId}
        batchId={batch}
        onCancel={() => void navigate({ to: "/history/$jobId", params: { jobId }, search: { org } as never })}
        onDone={(started) =>
          void navigate({ to: "/history/$jobId", params: { jobId: started }, search: { org } as never })
        }
      />
    </Page>
  );
}
