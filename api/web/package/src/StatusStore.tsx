import type { Api } from "../../src/api/client";
import type { RecordRow } from "../../src/api/types";
import { useLiveEvents } from "../../src/live/LiveProvider";
import { Refresher } from "../../src/live/refresher";
import { leading, type Status } from "../../src/plan/status";

/** Where a record stands. */
export type SyncStatus = { status: Status; states: string[]; conflictId: string | null; deadLetterId: string | null };

const GATHER = 50;
const CHUNK = 200;

/**
 * The status of records, for grids of thousands of rows: what is asked for in one moment is read in chunks, once for all
 * components, and events refresh the records that they name.
 */
export class StatusStore {
  private readonly known = new Map<string, SyncStatus>();
  private readonly users = new Map<string, number>();
  private readonly listeners = new Set<() => void>();
  private readonly refresher = new Refresher(GATHER, (isStale) => this.read(isStale));
  private version = 0;

  constructor(
    private readonly api: Api,
    private readonly organization: string,
  ) {}

  readonly get = (pfaId: string): SyncStatus | undefined => this.known.get(pfaId);

  /** Counts up with each change. */
  readonly current = (): number => this.version;

  readonly listen = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Keeps records up to date until the returned function is called. */
  watch(pfaIds: readonly string[]): () => void {
    for (const pfaId of pfaIds) {
      this.users.set(pfaId, (this.users.get(pfaId) ?? 0) + 1);
      if (!this.known.has(pfaId)) this.refresher.add(pfaId);
    }
    return () => {
      for (const pfaId of pfaIds) {
        const left = (this.users.get(pfaId) ?? 1) - 1;
        if (left > 0) this.users.set(pfaId, left);
        else this.users.delete(pfaId);
      }
    };
  }

  /** Passes events on to the store; stands once in the page. */
  readonly Listener = (): null => {
    useLiveEvents(
      ({ pfaId }) => pfaId && this.refresher.add(pfaId),
      () => this.refresher.addAll(),
    );
    return null;
  };

  /** Reads what is stale of what components show, and forgets what is stale of the rest. */
  private async read(isStale: (pfaId: string) => boolean): Promise<void> {
    for (const pfaId of this.known.keys()) if (!this.users.has(pfaId) && isStale(pfaId)) this.known.delete(pfaId);
    const asked = [...this.users.keys()].filter(isStale);
    for (let start = 0; start < asked.length; start += CHUNK) {
      const body = {
        organizationId: this.organization,
        filter: { pfa_ids: asked.slice(start, start + CHUNK) },
        limit: CHUNK,
      };
      try {
        const { records } = await this.api.send("post", "/api/pfa-data/search", { body });
        for (const row of records as unknown as RecordRow[]) {
          const { states, conflictId = null, deadLetterId = null } = row;
          this.known.set(row.pfaId, { status: leading(states), states, conflictId, deadLetterId });
        }
      } catch {
        // They keep their status; the next event of a record, or a new connection, reads them again.
      }
      this.version++;
      for (const listener of this.listeners) listener();
    }
  }
}
