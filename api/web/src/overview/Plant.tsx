import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { reading, useApi } from "../api/context";
import { useOrganization } from "../frame/organization";
import { useView, type View } from "../frame/view";
import { counted } from "../plan/count";
import { Icon, type IconName } from "../widgets/icons";

type Line = { icon: IconName; tone: string; text: string; to: string; search?: View };

/** What sends, and to what: relays, each PEMS with its breaker and limit, and alerts that are open. */
export function Plant() {
  const api = useApi();
  const [{ org }] = useView();
  const organization = useOrganization();
  const relays = useQuery({ ...reading(api, "/api/pems/relays"), refetchInterval: 15_000 });
  const systems = useQuery({ ...reading(api, "/api/pems/systems"), refetchInterval: 15_000 });
  const alerts = useQuery(
    reading(api, "/api/pems/alerts", {
      query: { organizationId: organization?.organizationId, state: "raised", limit: 200 },
    }),
  );
  const alive = relays.data?.relays.filter((relay) => relay.alive).length ?? 0;
  const silent = (relays.data?.relays.length ?? 0) - alive;
  const raised = alerts.data?.alerts ?? [];
  const lines: Line[] = [];
  if (relays.data) {
    lines.push({
      icon: "syncing",
      tone: alive === 0 ? "text-failed" : silent > 0 ? "text-attention" : "text-good",
      text: `${counted(alive, "relay", "relays")} alive${silent > 0 ? `, ${silent} silent` : ""}`,
      to: "/administration",
      search: { tab: "relays" },
    });
  }
  for (const system of systems.data?.systems ?? []) {
    if (system.retiredAt || (organization && !system.organizations.includes(organization.organizationId))) continue;
    const isClosed = (system.breaker ?? "closed") === "closed";
    lines.push({
      icon: isClosed ? "synced" : "warning",
      tone: isClosed ? "text-good" : "text-failed",
      text: `PEMS ${system.pems} ${isClosed ? "answers" : "does not answer"}, ${perSecond(system.slotInterval)}`,
      to: "/administration",
      search: { tab: "systems" },
    });
  }
  if (alerts.data) {
    const isCritical = raised.some(({ severity }) => severity === "critical");
    lines.push({
      icon: "alerts",
      tone: raised.length === 0 ? "text-good" : isCritical ? "text-failed" : "text-attention",
      text: raised.length === 0 ? "No open alerts" : counted(raised.length, "open alert", "open alerts"),
      to: "/alerts",
    });
  }
  if (lines.length === 0) return null;
  return (
    <ul aria-label="Relays, PEMS and alerts" className="mx-4 flex flex-wrap gap-x-6 gap-y-1">
      {lines.map(({ icon, tone, text, to, search }) => (
        <li key={text}>
          <Link
            to={to as "/"}
            search={{ org, ...search } as never}
            className="inline-flex items-center gap-1.5 no-underline hover:underline"
          >
            <Icon name={icon} size={14} className={tone} />
            {text}
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** How many requests a second an interval such as `00:00:00.105` allows. */
export function perSecond(interval: string): string {
  const [hours = 0, minutes = 0, seconds = 0] = interval.split(":").map(Number);
  const length = hours * 3600 + minutes * 60 + seconds;
  if (!(length > 0)) return `one request each ${interval}`;
  return `${counted(Math.round(10 / length) / 10, "request", "requests")} a second`;
}
