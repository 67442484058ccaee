import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type Api, idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import type { DraftConflict, DraftFault, RecordRow, Value, Values } from "../api/types";
import { sumOf } from "../plan/amount";
import { costOf } from "../plan/cost";
import { fieldOf } from "../plan/fields";
import { isSame } from "../plan/value";

/** What a commit said about a draft. */
export type Verdict = {
  pfaId?: string | null;
  modificationId: string;
  verdict: string;
  errors?: DraftFault[] | null;
  missingPermissions?: string[] | null;
  jobId?: string | null;
};

const LIMIT = 200;
/** As many drafts as a page looks at. */
export const MAX_DRAFTS = 1000;

const key = (organizationId: string) => [CACHE, "/api/pfa-data/records", "drafts", organizationId];

/** The user's own drafts in an organization, up to MAX_DRAFTS, and whether there are more. */
export function useDrafts(organizationId: string) {
  const api = useApi();
  return useQuery({
    queryKey: key(organizationId),
    queryFn: ({ signal }) => readDrafts(api, organizationId, signal),
    enabled: organizationId !== "",
  });
}

async function readDrafts(
  api: Api,
  organizationId: string,
  signal: AbortSignal,
): Promise<{ rows: RecordRow[]; more: boolean }> {
  const rows: RecordRow[] = [];
  let after: string | undefined;
  do {
    const page = await api.send(
      "post",
      "/api/pfa-data/search",
      { body: { organizationId, filter: { state: ["draft"] }, after, limit: LIMIT } },
      signal,
    );
    rows.push(...(page.records as unknown as RecordRow[]));
    after = page.next ?? undefined;
  } while (after && rows.length < MAX_DRAFTS);
  return { rows, more: after !== undefined };
}

/** How the forecast cost changes by drafts; null: the user may not see prices, or a value is missing. */
export function costChange(rows: RecordRow[]): { before: number; after: number; counted: number } {
  const pairs = rows.flatMap((row) => {
    const [before, after] = [costOf({ ...row.data, ...row.base }), costOf(row.data)];
    return before === null && after === null ? [] : [{ before: before ?? 0, after: after ?? 0 }];
  });
  return {
    before: sumOf(pairs.map(({ before }) => before)),
    after: sumOf(pairs.map(({ after }) => after)),
    counted: pairs.length,
  };
}

/** What is done with drafts. Each refreshes what shows them. */
export function useDraftActions(organizationId: string) {
  const api = useApi();
  const cache = useQueryClient();
  const refresh = () => void cache.invalidateQueries({ queryKey: key(organizationId) });
  return {
    /** Saves a new value of a field; a value that is as before leaves the draft. Returns the row with the draft. */
    async save(row: RecordRow, name: string, value: Value): Promise<RecordRow> {
      const base = row.base ?? {};
      const before = name in base ? base[name] : row.data[name];
      const isBack = isSame(fieldOf(name), before, value);
      const body = {
        organizationId,
        pfaId: row.pfaId,
        delta: isBack ? {} : { [name]: value ?? null },
        remove: isBack ? [name] : undefined,
      };
      const saved = await api.send("post", "/api/pfa-data/save-draft", { body });
      refresh();
      return withDraft(row, name, value, before, saved as unknown as SavedDraft);
    },
    /** Saves edits of many records, all or none. */
    async saveAll(drafts: { pfaId: string; delta: Values; reason?: string }[]): Promise<SavedDraft[]> {
      const saved = await api.send("post", "/api/pfa-data/save-drafts", { body: { organizationId, drafts } });
      refresh();
      return saved.drafts as unknown as SavedDraft[];
    },
    async commit(pfaIds: string[], skipInvalid: boolean): Promise<Verdict[]> {
      const answer = await api.send("post", "/api/pfa-data/commit-drafts", {
        header: { "Idempotency-Key": idempotencyKey() },
        body: { organizationId, pfaIds, skipInvalid },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      return answer.verdicts as unknown as Verdict[];
    },
    async discard(pfaIds: string[]): Promise<number> {
      const { verdicts } = await api.send("post", "/api/pfa-data/discard-drafts", { body: { organizationId, pfaIds } });
      refresh();
      return verdicts.length;
    },
    /** Takes committed changes back to drafts while they wait. */
    async withdraw(modificationIds: string[]): Promise<Verdict[]> {
      const answer = await api.send("post", "/api/pfa-data/withdraw", { body: { modificationIds } });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      return answer.verdicts as unknown as Verdict[];
    },
  };
}

export type SavedDraft = {
  pfaId?: string | null;
  draft?: Values | null;
  conflicts: DraftConflict[];
  errors: DraftFault[];
  modificationId?: string | null;
  state?: string | null;
};

function withDraft(row: RecordRow, name: string, value: Value, before: Value, saved: SavedDraft): RecordRow {
  const isDraft = saved.state === "draft";
  const states = row.states.filter((state) => state !== "draft" && state !== "synced");
  const base = { ...row.base, [name]: before };
  return {
    ...row,
    data: { ...row.data, [name]: value ?? null },
    base: isDraft
      ? Object.fromEntries(Object.keys(saved.draft ?? {}).map((field) => [field, base[field] ?? null]))
      : null,
    modificationId: isDraft ? saved.modificationId : null,
    conflicts: saved.conflicts,
    errors: saved.errors,
    states: isDraft ? ["draft", ...states] : states.length > 0 ? states : ["synced"],
  };
}
