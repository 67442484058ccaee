import { Link } from "@tanstack/react-router";
import type { SyncStatus } from "../api/types";
import { useView, type View } from "../frame/view";
import { countText } from "../plan/count";
import { durationText } from "../widgets/clock";
import { Icon, type IconName } from "../widgets/icons";

type Figure = {
  label: string;
  value: string;
  note?: string;
  icon?: IconName;
  tone?: string;
  to?: string;
  search?: View;
};

/** What stands where, as numbers that lead to their lists. */
export function Figures({ status, oldest }: { status: SyncStatus; oldest: number | null }) {
  const [{ org }] = useView();
  const conflicts = status.organizations.reduce((sum, { conflicts }) => sum + conflicts, 0);
  const number = (value: number) => countText(value);
  const figures: Figure[] = [
    {
      label: "Queued",
      value: number(status.totalQueued),
      icon: "queued",
      note: oldest === null || status.totalQueued === 0 ? undefined : `oldest waits ${durationText(oldest)}`,
      to: "/records",
      search: { state: "queued" },
    },
    {
      label: "Syncing",
      value: number(status.processing),
      icon: "syncing",
      to: "/records",
      search: { state: "syncing" },
    },
    {
      label: "Completed, 24 h",
      value: number(status.completed),
      icon: "synced",
      note: status.avgSyncTime == null ? undefined : `${durationText(status.avgSyncTime)} on average`,
      to: "/history",
    },
    {
      label: "Conflicts",
      value: number(conflicts),
      icon: "conflict",
      tone: conflicts ? "text-attention" : undefined,
      to: "/conflicts",
    },
    {
      label: "Failed",
      value: number(status.failed),
      icon: "failed",
      tone: status.failed ? "text-failed" : undefined,
      to: "/failures",
    },
  ];
  return (
    <ul
      aria-label="Changes"
      className="mx-4 grid grid-cols-2 gap-px overflow-hidden rounded-lg border border-line bg-line sm:grid-cols-3 lg:grid-cols-5"
    >
      {figures.map(({ label, value, note, icon, tone, to, search }) => (
        <li key={label} className="bg-surface last:col-span-2 lg:last:col-span-1">
          <Link
            to={to as "/"}
            search={{ org, ...search } as never}
            className="flex flex-col px-4 py-2.5 no-underline hover:bg-hover"
          >
            <span className="flex items-center gap-1.5 text-secondary">
              {icon && <Icon name={icon} size={14} />}
              {label}
            </span>
            <span className={`text-2xl font-semibold ${tone ?? ""}`}>{value}</span>
            <span className="min-h-4 text-xs text-secondary">{note}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}
