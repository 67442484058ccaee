import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { reading, useApi } from "../api/context";
import type { ConflictSummary } from "../api/types";
import { useCodeOf, useMay } from "../frame/me";
import { useOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { FilterBar } from "../lists/FilterBar";
import { More } from "../lists/More";
import { SavedViews } from "../lists/SavedViews";
import { SelectRow, SelectTable } from "../lists/SelectTable";
import { usePages } from "../lists/usePages";
import { useSelection } from "../lists/useSelection";
import { countText } from "../plan/count";
import { FIELDS, fieldOf } from "../plan/fields";
import { codeText } from "../plan/status";
import { valueText } from "../plan/value";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Page } from "../widgets/Page";
import { StatusMark } from "../widgets/StatusMark";
import { Time } from "../widgets/Time";
import { BulkResolution } from "./BulkResolution";
import { ResolvedConflicts } from "./ResolvedConflicts";

/** Open conflicts, or resolved ones; and the resolution of many at once. */
export function ConflictsPage() {
  const [view, change] = useView();
  const isResolved = view.show === "resolved";
  return (
    <Page
      title="Conflicts"
      aside={
        <>
          <SavedViews page="conflicts" />
          <div className="flex gap-1">
            <Button
              kind={isResolved ? "quiet" : "plain"}
              aria-pressed={!isResolved}
              onClick={() => change({ show: undefined }, true)}
            >
              Open
            </Button>
            <Button
              kind={isResolved ? "plain" : "quiet"}
              aria-pressed={isResolved}
              onClick={() => change({ show: "resolved" }, true)}
            >
              Resolved
            </Button>
          </div>
        </>
      }
    >
      <ConflictFilters />
      {isResolved ? <ResolvedConflicts /> : <OpenConflicts />}
    </Page>
  );
}

function ConflictFilters() {
  const api = useApi();
  const [view, change] = useView();
  const causes = useQuery({ ...reading(api, "/api/pems/causes"), staleTime: Number.POSITIVE_INFINITY });
  const codes = (causes.data?.causes ?? []).filter(({ kind }) => kind === "conflict");
  return (
    <FilterBar
      view={view}
      onChange={change}
      entries={[
        {
          name: "field",
          label: "Field",
          kind: "choice",
          options: FIELDS.filter(({ permission }) => permission).map(({ name, label }) => [name, label]),
        },
        { name: "code", label: "Cause", kind: "choice", options: codes.map(({ code }) => [code, codeText(code)]) },
        { name: "pfaId", label: "PFA", kind: "text" },
        { name: "since", label: "Since", kind: "date" },
      ]}
    />
  );
}

function OpenConflicts() {
  const [view] = useView();
  const organization = useOrganization();
  const codeOf = useCodeOf();
  const may = useMay();
  const { selected, toggle, set, clear } = useSelection();
  const [bulk, setBulk] = useState<"selected" | "all" | null>(null);
  const list = usePages("/api/pems/conflicts", {
    query: {
      organizationId: organization?.organizationId,
      field: view.field,
      author: view.author,
      code: view.code,
      pfaId: view.pfaId,
      startDate: view.since && `${view.since}T00:00:00Z`,
      limit: 100,
    },
  });
  if (!list.data) return list.error ? <Failed error={list.error} onRetry={() => void list.refetch()} /> : <Skeleton />;
  const rows = list.data.pages.flatMap(({ conflicts }) => conflicts);
  const total = list.data.pages[0]?.total ?? 0;
  const isFiltered = Boolean(view.field || view.code || view.pfaId || view.since || view.author);
  if (rows.length === 0) {
    return (
      <Empty title={isFiltered ? "No open conflict matches the filters" : "No open conflicts"}>
        {!isFiltered && "When PEMS and an edit change the same field of a record, both values wait here for a person."}
      </Empty>
    );
  }
  const keys = rows.map(({ conflictId }) => conflictId);
  const chosen = keys.filter((key) => selected.has(key));
  const locked = may("perm_Sync", organization?.organizationId);
  return (
    <>
      <div
        className="flex min-h-10 flex-wrap items-center gap-2 border-y border-line bg-panel px-4 py-1"
        role="toolbar"
        aria-label="Conflicts"
      >
        <span>{total >= 10_000 ? `At least ${countText(10_000)}` : countText(total)} open</span>
        {chosen.length > 0 ? (
          <>
            <span className="font-medium">{countText(chosen.length)} selected</span>
            <Button reason={locked} onClick={() => setBulk("selected")}>
              Resolve {countText(chosen.length)}…
            </Button>
            <Button kind="quiet" onClick={clear}>
              Select none
            </Button>
          </>
        ) : (
          <Button
            kind="text"
            reason={
              locked ??
              (view.code || view.pfaId || view.since
                ? "Select the conflicts instead: this filter is not one of the bulk resolution"
                : undefined)
            }
            onClick={() => setBulk("all")}
          >
            Resolve all {countText(total)} that match…
          </Button>
        )}
      </div>
      <SelectTable
        label="Open conflicts"
        columns={["Record", "Status", "Field", "Yours", "PEMS", "Author", "Cause", "Found"]}
        keys={keys}
        selected={selected}
        onSelect={set}
      >
        {rows.map((row) => (
          <ConflictRow
            key={row.conflictId}
            row={row}
            code={codeOf(row.organizationId)}
            isSelected={selected.has(row.conflictId)}
            onToggle={(range) => toggle(row.conflictId, range ? { keys } : undefined)}
          />
        ))}
      </SelectTable>
      <More query={list} />
      {bulk && (
        <BulkResolution
          filter={
            bulk === "selected"
              ? { conflictIds: chosen }
              : { organizationId: organization?.organizationId, field: view.field, author: view.author }
          }
          onClose={(done) => {
            setBulk(null);
            if (done) clear();
          }}
        />
      )}
    </>
  );
}

function ConflictRow({
  row,
  code,
  isSelected,
  onToggle,
}: {
  row: ConflictSummary;
  code: string;
  isSelected: boolean;
  onToggle: (range: boolean) => void;
}) {
  const [view] = useView();
  const name = row.conflictFields[0] ?? Object.keys(row.ours ?? {})[0];
  const field = name ? fieldOf(name) : undefined;
  const others = row.conflictFields.length - 1;
  const value = (side: unknown) => (field ? valueText(field, (side as Record<string, string>)?.[field.name]) : "—");
  return (
    <SelectRow label={`Select the conflict of record ${row.pfaId}`} isSelected={isSelected} onToggle={onToggle}>
      <td>
        <Link
          to="/conflicts/$conflictId"
          params={{ conflictId: row.conflictId }}
          search={view as never}
          className="link font-medium"
        >
          {row.pfaId}
        </Link>{" "}
        <span className="text-secondary">{code}</span>
      </td>
      <td>
        <StatusMark status="conflict" />
      </td>
      <td>
        {field?.label ?? "—"}
        {others > 0 && <span className="text-secondary"> and {others} more</span>}
      </td>
      <td className="max-w-56 truncate">{value(row.ours)}</td>
      <td className="max-w-56 truncate">{value(row.theirs)}</td>
      <td>{row.authorName}</td>
      <td title={row.meaning ?? undefined}>{codeText(row.code)}</td>
      <td>
        <Time at={row.createdAt} />
      </td>
    </SelectRow>
  );
}
