import type { IconName } from "../widgets/icons";
import type { KeyName } from "./keys";

export type PageEntry = { path: string; label: string; short?: string; icon: IconName; key: KeyName };

/** The pages of the rail, in its order. */
export const PAGES: PageEntry[] = [
  { path: "/", label: "Overview", icon: "overview", key: "overview" },
  { path: "/records", label: "Records", icon: "records", key: "records" },
  { path: "/conflicts", label: "Conflicts", icon: "conflict", key: "conflicts" },
  { path: "/history", label: "History", icon: "history", key: "history" },
  { path: "/failures", label: "Failures", icon: "failed", key: "failures" },
  { path: "/alerts", label: "Alerts", icon: "alerts", key: "alerts" },
  { path: "/audit", label: "Audit log", short: "Log", icon: "audit", key: "audit" },
  { path: "/administration", label: "Administration", short: "Admin", icon: "settings", key: "administration" },
];
