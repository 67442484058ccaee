import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type Api, idempotencyKey } from "../api/client";
import { CACHE, useApi } from "../api/context";
import type { DraftConflict, DraftFault, RecordRow, Value, Values } from "../api/types";
import { sumOf } from "../plan/amount";
import { costOf } from "../plan/cost";
import { fieldOf } from "../plan/fields";
import { isSame } from "../plan/value";
import { draftsKey, type Selection } from "./selection";

/** Which drafts something is done with: those of these records, or of all that a search finds. */
export type Target = { pfaIds: string[] } | Selection;

/** What a commit said about a draft. */
export type Verdict = {
  pfaId?: string | null;
  modificationId: string;
  verdict: string;
  errors?: DraftFault[] | null;
  missingPermissions?: string[] | null;
  jobId?: string | null;
};

/** As many drafts as are listed one by one. */
const LISTED = 200;
/** As many pages as are read to find them: a search for other states finds records of which only some have a draft. */
const MOST_PAGES = 5;

/** Drafts of all records. */
export const ALL: Selection = { filter: {} };

/** How many drafts the user has of selected records, how many are not valid or would be conflicts, and their cost. */
export function useDraftSummary(organizationId: string, { filter, search } = ALL, enabled = true) {
  const api = useApi();
  return useQuery({
    queryKey: [...draftsKey(organizationId), "summary", filter, search],
    queryFn: ({ signal }) =>
      api.send("post", "/api/pfa-data/drafts/summary", { body: { organizationId, filter, search } }, signal),
    enabled,
  });
}

/** The first of the user's drafts of selected records, and whether there are more. */
export function useDrafts(organizationId: string, selection = ALL) {
  const api = useApi();
  return useQuery({
    queryKey: [...draftsKey(organizationId), selection],
    queryFn: ({ signal }) => readDrafts(api, organizationId, selection, signal),
  });
}

async function readDrafts(
  api: Api,
  organizationId: string,
  { filter, search }: Selection,
  signal: AbortSignal,
): Promise<{ rows: RecordRow[]; more: boolean }> {
  const states = filter.state as string[] | undefined;
  const state = states && !states.includes("draft") ? states : ["draft"];
  const rows: RecordRow[] = [];
  let after: string | undefined;
  for (let pages = 0; pages < MOST_PAGES && rows.length < LISTED; pages++) {
    const body = { organizationId, filter: { ...filter, state }, search, after, limit: LISTED };
    const page = await api.send("post", "/api/pfa-data/search", { body }, signal);
    rows.push(...(page.records as unknown as RecordRow[]).filter(({ modificationId }) => modificationId));
    after = page.next ?? undefined;
    if (!after) break;
  }
  return { rows: rows.slice(0, LISTED), more: after !== undefined || rows.length > LISTED };
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
  const refresh = () => void cache.invalidateQueries({ queryKey: draftsKey(organizationId) });
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
    async commit(drafts: Target, skipInvalid: boolean): Promise<Verdict[]> {
      const answer = await api.send("post", "/api/pfa-data/commit-drafts", {
        header: { "Idempotency-Key": idempotencyKey() },
        body: { organizationId, ...drafts, skipInvalid },
      });
      void cache.invalidateQueries({ queryKey: [CACHE] });
      return answer.verdicts as unknown as Verdict[];
    },
    async discard(drafts: Target): Promise<number> {
      const body = { organizationId, ...drafts };
      const { verdicts } = await api.send("post", "/api/pfa-data/discard-drafts", { body });
      refresh();
      return verdicts.length;
    },
    /** Takes what waits of the selected records back to drafts. */
    async withdraw({ filter, search }: Selection): Promise<Verdict[]> {
      const answer = await api.send("post", "/api/pfa-data/withdraw", { body: { organizationId, filter, search } });
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
