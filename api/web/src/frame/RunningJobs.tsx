import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import { counted } from "../plan/count";
import { Icon } from "../widgets/icons";
import { useOrganization } from "./organization";
import { useView } from "./view";

const MOST = 50;

/** How many jobs are running; they go on when the page is closed. */
export function RunningJobs() {
  const api = useApi();
  const organization = useOrganization();
  const [{ org }] = useView();
  const query = { organizationId: organization?.organizationId, state: "running", limit: MOST } as const;
  const { data } = useQuery(reading(api, "/api/pems/jobs", { query }));
  const [first, ...others] = data?.jobs ?? [];
  if (!first) return null;
  const count = others.length + 1;
  const words = `${count >= MOST ? "At least " : ""}${counted(count, "job runs", "jobs run")}`;
  const mark = (
    <>
      <Icon name="syncing" size={14} className="turning" />
      {words}
    </>
  );
  const shape = "inline-flex items-center gap-1.5 text-xs text-link no-underline hover:underline";
  if (others.length > 0) {
    return (
      <Link to="/history" search={{ org, jobState: "running" } as never} className={shape}>
        {mark}
      </Link>
    );
  }
  return (
    <Link to="/history/$jobId" params={{ jobId: first.jobId }} search={{ org } as never} className={shape}>
      {mark}
    </Link>
  );
}
