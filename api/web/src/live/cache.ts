import type { QueryClient, QueryFilters } from "@tanstack/react-query";
import { CACHE, readsBelow } from "../api/context";
import type { LiveEvent } from "../api/types";

/** The reads whose answer an event may change, by the event; the first part of a path stands for all below it. */
const AFFECTED: Record<string, string[]> = {
  queued: [
    "/api/pems/sync-status",
    "/api/pems/drain-forecast",
    "/api/pems/jobs",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  syncing: ["/api/pems/sync-status", "/api/pems/jobs", "/api/pfa-data/records", "/api/pems/records"],
  synced: [
    "/api/pems/sync-status",
    "/api/pems/drain-forecast",
    "/api/pems/kpis",
    "/api/pems/jobs",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  attempt_failed: [
    "/api/pems/sync-status",
    "/api/pems/jobs",
    "/api/pems/failures",
    "/api/pems/changes",
    "/api/pems/records",
  ],
  conflict: [
    "/api/pems/sync-status",
    "/api/pems/conflicts",
    "/api/pems/jobs",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  resolved: [
    "/api/pems/sync-status",
    "/api/pems/conflicts",
    "/api/pems/resolved-conflicts",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  failed: [
    "/api/pems/sync-status",
    "/api/pems/failures",
    "/api/pems/dead-letters",
    "/api/pems/jobs",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  discarded: [
    "/api/pems/sync-status",
    "/api/pems/failures",
    "/api/pems/dead-letters",
    "/api/pfa-data/records",
    "/api/pems/records",
  ],
  withdrawn: ["/api/pems/sync-status", "/api/pems/jobs", "/api/pfa-data/records", "/api/pems/records"],
  breaker: ["/api/pems/sync-status", "/api/pems/drain-forecast", "/api/pems/systems"],
  pause: ["/api/pems/sync-status", "/api/pems/drain-forecast", "/api/pems/me"],
  job: ["/api/pems/jobs"],
  alert: ["/api/pems/alerts", "/api/pems/sync-status"],
  notification: ["/api/pems/notifications"],
  credentials: ["/api/pems/credentials", "/api/pems/systems", "/api/pems/sync-status"],
  rollback: ["/api/pems/jobs", "/api/pems/records"],
};

/** Every event leaves its entry in the log. */
const ALWAYS = ["/api/pems/audit"];

/** Longest time between an event and the refresh that it causes; a burst of events causes one. */
const GATHER = 400;

/**
 * Brings the cache up to date with events: what an event may have changed is read again, once for all events of a
 * moment, and only what is on the screen.
 */
export class CacheUpdater {
  private stale = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly cache: QueryClient) {}

  take(event: LiveEvent): void {
    for (const path of [...(AFFECTED[event.event] ?? []), ...ALWAYS]) this.stale.add(path);
    this.timer ??= setTimeout(() => this.refresh(), GATHER);
  }

  /** Everything may have changed. */
  takeAll(): void {
    this.readAgain({ queryKey: [CACHE] });
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private refresh(): void {
    this.timer = undefined;
    const paths = [...this.stale];
    this.stale.clear();
    this.readAgain(readsBelow(...paths));
  }

  /**
   * A read that is under way may have its answer from before the event: it ends, and is repeated. Cancelled instead, it
   * would never end while events come faster than answers.
   */
  private readAgain(filters: QueryFilters): void {
    const underWay = this.cache.getQueryCache().findAll({ ...filters, fetchStatus: "fetching" });
    for (const { queryKey, promise } of underWay) {
      const repeat = () => this.cache.invalidateQueries({ queryKey, exact: true }, { cancelRefetch: false });
      promise?.then(repeat, repeat);
    }
    void this.cache.invalidateQueries(filters, { cancelRefetch: false });
  }
}
