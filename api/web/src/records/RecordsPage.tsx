import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState } from "react";
import { CACHE, useApi } from "../api/context";
import type { MyOrganization, RecordRow, Value } from "../api/types";
import { useMay, useMe } from "../frame/me";
import { useOneOrganization } from "../frame/organization";
import { useView } from "../frame/view";
import { SavedViews } from "../lists/SavedViews";
import { counted, countText } from "../plan/count";
import { Empty, Failed, Skeleton } from "../widgets/Answered";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Page } from "../widgets/Page";
import { tellError } from "../widgets/toasts";
import { ColumnMenu } from "./ColumnMenu";
import { columnsOf, writeColumns } from "./columns";
import { DraftBar } from "./DraftBar";
import { useDraftActions } from "./drafts";
import { FilterBox } from "./FilterBox";
import { RecordGrid } from "./RecordGrid";
import { RunningEdits } from "./RunningEdits";
import { SelectionBar } from "./SelectionBar";
import { searchOf, tokensOf } from "./tokens";
import { useFocusKept } from "./useFocusKept";
import { useRecordSelection } from "./useRecordSelection";
import { useRecordWindows } from "./useRecordWindows";

/** The records of an organization: found, edited and committed. */
export function RecordsPage() {
  const organization = useOneOrganization();
  if (!organization) return <Empty title="There is no organization that you may read" />;
  return <Records key={organization.organizationId} organization={organization} />;
}

function Records({ organization }: { organization: MyOrganization }) {
  const { organizationId } = organization;
  const me = useMe();
  const may = useMay();
  const navigate = useNavigate();
  const [view, change] = useView();
  const text = [view.q, view.state && `state:${view.state}`].filter(Boolean).join(" ");
  const search = useMemo(() => searchOf(tokensOf(text), me.userId), [text, me.userId]);
  const order = useMemo(() => ({ sort: view.sort ?? "pfaId", descending: view.desc === "1" }), [view.sort, view.desc]);
  const columns = useMemo(() => columnsOf(view.cols), [view.cols]);
  const { loaded, rows, error, isFetching, show, put, refresh, reload } = useRecordWindows(
    organizationId,
    search,
    order,
  );
  const total = useTotal(organizationId, search);
  const bars = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  useFocusKept(bars, grid);
  const drafts = useDraftActions(organizationId);
  const [loadedTotal, setLoadedTotal] = useState<{ of: string; total: number }>();
  const asked = JSON.stringify([text, order]);
  const count = total.data?.total;
  if (count !== undefined && !total.isPlaceholderData && loaded.size > 0 && loadedTotal?.of !== asked)
    setLoadedTotal({ of: asked, total: count });
  const shownTotal = loadedTotal?.of === asked ? loadedTotal.total : 0;
  const came = loadedTotal?.of === asked && count !== undefined ? count - loadedTotal.total : 0;

  const keys = useMemo(() => rows.map(({ pfaId }) => pfaId), [rows]);
  const { selection, selected, isSearch, select, selectAll, selectSearch, clear } = useRecordSelection(
    search,
    loaded,
    keys,
  );
  const open = useCallback(
    (row: RecordRow) =>
      void navigate({
        to: "/records/$pfaId",
        params: { pfaId: row.pfaId },
        search: { org: organization.code ?? organizationId } as never,
      }),
    [navigate, organization.code, organizationId],
  );
  const { save: saveDraft } = drafts;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the actions are made anew at each render, and do the same
  const save = useCallback(
    async (row: RecordRow, field: string, value: Value) =>
      void put(new Map([[row.pfaId, await saveDraft(row, field, value)]])),
    [put, organizationId],
  );
  const readAnew = () => {
    setLoadedTotal(undefined);
    void reload();
    void total.refetch();
  };
  const changed = () => void refresh(keys).catch((error) => tellError("The rows could not be read anew", error));
  const sortBy = (sort: string) =>
    change({
      sort: sort === "pfaId" ? undefined : sort,
      desc: order.sort === sort && !order.descending ? "1" : undefined,
    });

  return (
    <Page
      fixed
      title={
        <>
          Records <span className="text-sm font-normal text-secondary">of {organization.code ?? organizationId}</span>
        </>
      }
      aside={
        <>
          <SavedViews page="records" />
          <ColumnMenu
            shown={columns.map(({ field }) => field.name)}
            onChange={(names) => change({ cols: writeColumns(names) })}
          />
        </>
      }
    >
      <div className="flex flex-wrap items-start gap-2 px-4 pb-2">
        <FilterBox
          organizationId={organizationId}
          text={text}
          faults={search.faults}
          onChange={(q) => change({ q, state: undefined }, true)}
        />
        <p className="min-h-8 py-1.5 text-secondary" role="status">
          {count === undefined ? "" : `${total.data?.atLeast ? "at least " : ""}${counted(count, "record", "records")}`}
        </p>
        {came !== 0 && (
          <Button
            onClick={readAnew}
            tip="How many records match more or less than when the list was read; press to read it anew"
          >
            {countText(Math.abs(came))} {came > 0 ? "new" : "fewer"}
          </Button>
        )}
        {error && loaded.size > 0 && (
          <Button onClick={() => void reload()} tip={error.message}>
            <Icon name="warning" size={14} className="text-failed" /> Some rows could not be read: try again
          </Button>
        )}
      </div>
      <div ref={bars} className="shrink-0">
        <RunningEdits organizationId={organizationId} onEnded={changed} />
        {isSearch || selected.size > 0 ? (
          <SelectionBar
            organization={organization}
            selection={selection}
            isSearch={isSearch}
            count={isSearch ? (count ?? 0) : selected.size}
            total={count ?? 0}
            onSelectSearch={selectSearch}
            onClear={clear}
            onChanged={changed}
          />
        ) : (
          <DraftBar organization={organization} onChanged={changed} />
        )}
      </div>
      {error && loaded.size === 0 ? (
        <Failed error={error} onRetry={() => void reload()} />
      ) : loaded.size === 0 && search.faults.length === 0 ? (
        <Skeleton rows={16} />
      ) : rows.length === 0 && !isFetching ? (
        <NoRecords
          isFiltered={text !== ""}
          code={organization.code ?? organizationId}
          onClear={() => change({ q: undefined, state: undefined }, true)}
        />
      ) : (
        <RecordGrid
          ref={grid}
          organization={organization}
          loaded={loaded}
          keys={keys}
          total={shownTotal}
          isMore={total.data?.atLeast ?? false}
          columns={columns}
          order={order}
          selected={selected}
          readOnly={may("perm_SaveDraft", organizationId)}
          onShow={show}
          onOrder={sortBy}
          onSelect={select}
          onSelectAll={selectAll}
          onSave={save}
          onOpen={open}
        />
      )}
    </Page>
  );
}

/** How many records the search finds. */
function useTotal(
  organizationId: string,
  { filter, search, faults }: { filter: Record<string, unknown>; search?: string; faults: string[] },
) {
  const api = useApi();
  return useQuery({
    queryKey: [CACHE, "/api/pfa-data/records", "total", organizationId, filter, search],
    queryFn: ({ signal }) =>
      api.send(
        "post",
        "/api/pfa-data/facets",
        { body: { organizationId, filter, search, fields: ["source"] } },
        signal,
      ),
    enabled: faults.length === 0,
    placeholderData: keepPreviousData,
  });
}

function NoRecords({ isFiltered, code, onClear }: { isFiltered: boolean; code: string; onClear: () => void }) {
  if (isFiltered) {
    return (
      <Empty title="No record matches">
        <Button onClick={onClear}>Show all records</Button>
      </Empty>
    );
  }
  return (
    <Empty title={`The mirror has no records of ${code} yet`}>
      Fill it from PEMS: <code>pfa-relay pull</code>. Then records appear here, and the first edit can be made.
    </Empty>
  );
}
