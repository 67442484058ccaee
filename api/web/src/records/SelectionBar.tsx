import { useState } from "react";
import { useApi } from "../api/context";
import type { MyOrganization, RecordRow } from "../api/types";
import { useMay } from "../frame/me";
import { Button } from "../widgets/Button";
import { tell, tellError } from "../widgets/toasts";
import { BulkEditDialog } from "./BulkEditDialog";
import { CommitDialog } from "./CommitDialog";
import { MAX_DRAFTS, useDraftActions } from "./drafts";
import type { Search } from "./tokens";

type Props = {
  organization: MyOrganization;
  rows: RecordRow[];
  selected: ReadonlySet<string>;
  search: Search;
  total: number;
  onClear: () => void;
  onSelectAll: (pfaIds: string[]) => void;
  onChanged: (pfaIds: string[]) => void;
};

/** What can be done with the selected records. Only what applies is offered. */
export function SelectionBar({ organization, rows, selected, search, total, onClear, onSelectAll, onChanged }: Props) {
  const { organizationId } = organization;
  const api = useApi();
  const may = useMay();
  const drafts = useDraftActions(organizationId);
  const [dialog, setDialog] = useState<"shift" | "rate" | "set" | "commit" | null>(null);
  const [found, setFound] = useState<RecordRow[]>([]);
  const [isGathering, setGathering] = useState(false);
  // Rows that were selected beyond the loaded ones were read for that.
  const known = new Map([...found, ...rows].map((row) => [row.pfaId, row]));
  const chosen = [...selected].flatMap((pfaId) => known.get(pfaId) ?? []);
  const withDraft = chosen.filter(({ modificationId }) => modificationId);
  const queued = chosen.filter(({ states }) => states.includes("queued"));
  const canSelectAll = total > selected.size && rows.every(({ pfaId }) => selected.has(pfaId));

  const selectAll = async () => {
    setGathering(true);
    try {
      const all: RecordRow[] = [];
      let after: string | undefined;
      do {
        const page = await api.send("post", "/api/pfa-data/search", {
          body: { organizationId, filter: search.filter, search: search.search, after, limit: 200 },
        });
        all.push(...(page.records as unknown as RecordRow[]));
        after = page.next ?? undefined;
      } while (after && all.length < MAX_DRAFTS);
      setFound(all.slice(0, MAX_DRAFTS));
      onSelectAll(all.slice(0, MAX_DRAFTS).map(({ pfaId }) => pfaId));
      if (after)
        tell(`The first ${MAX_DRAFTS.toLocaleString()} are selected: as many as one save takes`, { tone: "info" });
    } catch (error) {
      tellError("Not all were selected", error);
    } finally {
      setGathering(false);
    }
  };
  const withdraw = async () => {
    try {
      const records = await Promise.all(
        queued.map(({ pfaId }) =>
          api.send("get", "/api/pfa-data/records/{pfaId}", { path: { pfaId }, query: { organizationId } }),
        ),
      );
      const ids = records.flatMap(({ queue }) =>
        (queue as unknown as { modificationId: string; status: string }[])
          .filter(({ status }) => status === "pending")
          .map(({ modificationId }) => modificationId),
      );
      const verdicts = await drafts.withdraw(ids);
      const back = verdicts.filter(({ verdict }) => verdict === "withdrawn").length;
      tell(`${back.toLocaleString()} ${back === 1 ? "change is a draft" : "changes are drafts"} again`, {
        lines: back < ids.length ? [`${(ids.length - back).toLocaleString()} were sent already, or are not yours`] : [],
      });
      onChanged(queued.map(({ pfaId }) => pfaId));
    } catch (error) {
      tellError("Nothing was withdrawn", error);
    }
  };
  const locked = may("perm_SaveDraft", organizationId);
  const financial = organization.permissions.includes("perm_ViewFinancials") ? undefined : "You may not see prices";
  const close = (changed?: string[]) => {
    setDialog(null);
    if (changed) onChanged(changed);
  };
  return (
    <div
      role="toolbar"
      aria-label="Selected records"
      className="flex min-h-10 flex-wrap items-center gap-2 border-t border-line bg-chosen px-4 py-1"
    >
      <span className="font-medium">{selected.size.toLocaleString()} selected</span>
      {canSelectAll && (
        <Button kind="text" reason={isGathering ? "They are being read" : undefined} onClick={() => void selectAll()}>
          Select all {total.toLocaleString()} that match
        </Button>
      )}
      <Button reason={locked} onClick={() => setDialog("shift")}>
        Shift dates…
      </Button>
      <Button reason={locked ?? financial} onClick={() => setDialog("rate")}>
        Change rates…
      </Button>
      <Button reason={locked} onClick={() => setDialog("set")}>
        Set a field…
      </Button>
      {withDraft.length > 0 && (
        <Button kind="primary" reason={may("perm_Sync", organizationId)} onClick={() => setDialog("commit")}>
          Commit {withDraft.length.toLocaleString()}…
        </Button>
      )}
      {queued.length > 0 && <Button onClick={() => void withdraw()}>Withdraw {queued.length.toLocaleString()}</Button>}
      <span className="grow" />
      <Button kind="text" onClick={onClear}>
        Select none
      </Button>
      {dialog === "commit" && <CommitDialog organization={organization} rows={withDraft} onClose={close} />}
      {dialog && dialog !== "commit" && (
        <BulkEditDialog kind={dialog} organization={organization} rows={chosen} onClose={close} />
      )}
    </div>
  );
}
