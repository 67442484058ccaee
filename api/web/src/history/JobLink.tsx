import { Link } from "@tanstack/react-router";

/** Leads to the page of a job that was just started. */
export function JobLink({ jobId }: { jobId: string }) {
  return (
    <Link to="/history/$jobId" params={{ jobId }} className="link">
      Follow job {jobId}
    </Link>
  );
}
