import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import type { SyncStatus } from "../api/types";
import { useView } from "../frame/view";
import { sentence } from "../plan/status";
import { momentText } from "../widgets/clock";
import { Icon } from "../widgets/icons";

const VERDICTS = {
  healthy: { word: "Healthy", colour: "text-good", back: "bg-good-back", icon: "synced" },
  degraded: { word: "Needs attention", colour: "text-attention", back: "bg-attention-back", icon: "warning" },
  unhealthy: { word: "Not working", colour: "text-failed", back: "bg-failed-back", icon: "failed" },
} as const;

/** Where to go about a code of health. */
const PLACES: Record<string, [path: string, label: string]> = {
  failing: ["/failures", "Decide about the failures"],
  waiting_for_resolution: ["/conflicts", "Resolve the conflicts"],
  unreliable: ["/failures", "Look at the causes"],
  paused: ["/administration", "Resume sending"],
  held: ["/administration", "Look at the organizations"],
  drift: ["/audit", "Look at the log"],
};

/** One sentence: whether changes reach PEMS, the worst that is the matter, and what to do about it. */
export function HealthSentence({ status }: { status: SyncStatus }) {
  const api = useApi();
  const causes = useQuery({ ...reading(api, "/api/pems/causes"), staleTime: Number.POSITIVE_INFINITY });
  const [{ org }] = useView();
  const verdict = VERDICTS[status.health];
  const cause = causes.data?.causes.find(({ kind, code }) => kind === "health" && code === status.healthCode);
  const place = PLACES[status.healthCode];
  const affected = status.organizations.filter(({ healthCode }) => healthCode === status.healthCode);
  return (
    <section
      aria-label="Health"
      className={`mx-4 flex flex-wrap items-start gap-x-4 gap-y-1 rounded-lg px-4 py-3 ${verdict.back}`}
    >
      <p className={`flex items-center gap-2 text-base font-semibold ${verdict.colour}`}>
        <Icon name={verdict.icon} size={20} />
        {verdict.word}
      </p>
      <div className="min-w-60 grow basis-80">
        <p>
          {sentence(localTimes(status.healthReason ?? cause?.meaning ?? status.healthCode))}.
          {status.healthCode !== "ok" && affected.length > 0 && affected.length < status.organizations.length && (
            <span className="text-secondary">
              {" "}
              In {affected.map(({ organizationCode, organizationId }) => organizationCode ?? organizationId).join(", ")}
              .
            </span>
          )}
        </p>
        {cause && status.healthCode !== "ok" && <p className="text-secondary">What to do: {cause.action}.</p>}
      </div>
      {place && (
        <Link to={place[0]} search={{ org } as never} className="link self-center">
          {place[1]}
        </Link>
      )}
    </section>
  );
}

/** The moments in a text of the service, in the zone of the viewer. */
function localTimes(text: string): string {
  return text.replace(/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})/g, (moment) =>
    momentText(Date.parse(moment)),
  );
}
