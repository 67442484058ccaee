import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type RefObject, useCallback, useEffect, useMemo, useState } from "react";
import type { MyOrganization, RecordRow, Value } from "../api/types";
import { SelectAll } from "../lists/SelectTable";
import { reasonLocked } from "../plan/fields";
import { Icon } from "../widgets/icons";
import type { Column } from "./columns";
import { cellId, GridRow } from "./GridRow";
import { type Order, WINDOW } from "./useRecordWindows";

const ROW_HEIGHT = 36;
/** How far outside of the view rows are read. */
const AHEAD = 60;
/** Select, status and PFA stand before the columns of fields, the cost after them. */
const LEADING = 3;
const LEADING_WIDTHS = "36px 150px 100px";
const COST_WIDTH = 130;

type Props = {
  /** The element that has the focus while the grid is used. */
  ref: RefObject<HTMLDivElement | null>;
  organization: MyOrganization;
  /** The rows that were read, by their window. */
  loaded: ReadonlyMap<number, RecordRow[]>;
  /** The ids of these rows, in their order. */
  keys: string[];
  /** How many records the search finds, and whether there may be more, since not all were counted. */
  total: number;
  isMore: boolean;
  columns: Column[];
  order: Order;
  selected: ReadonlySet<string>;
  readOnly: string | undefined;
  /** Rows come into view, or will soon. */
  onShow: (first: number, last: number) => void;
  onOrder: (sort: string) => void;
  onSelect: (index: number, range: boolean) => void;
  onSelectAll: (keys: string[]) => void;
  onSave: (row: RecordRow, field: string, value: Value) => Promise<void>;
  onOpen: (row: RecordRow) => void;
};

/** Any number of records as a grid; only the rows in view are in the page. Driven by keyboard or mouse. */
export function RecordGrid(props: Props) {
  const {
    ref: scroll,
    organization,
    loaded,
    keys,
    total,
    isMore,
    columns,
    order,
    selected,
    readOnly,
    onShow,
    onOrder,
    onSelect,
    onSelectAll,
    onSave,
    onOpen,
  } = props;
  const [active, setActive] = useState({ row: 0, column: LEADING });
  const [editing, setEditing] = useState(false);
  const count = useMemo(() => rowCount(loaded, total, isMore), [loaded, total, isMore]);
  const rowAt = (index: number) => loaded.get(Math.floor(index / WINDOW))?.[index % WINDOW];
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollMargin: ROW_HEIGHT,
    scrollPaddingStart: ROW_HEIGHT,
  });
  const items = virtual.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  // While the bar is dragged past windows, they are not read; the one where it stops is.
  const isPassing = virtual.isScrolling && !rowAt(first) && !rowAt(last);
  useEffect(() => {
    if (!isPassing && count > 0) onShow(Math.max(0, first - AHEAD), Math.min(count - 1, last + AHEAD));
  }, [isPassing, first, last, count, onShow]);

  const template = `${LEADING_WIDTHS} ${columns.map(({ width }) => `${width}px`).join(" ")} ${COST_WIDTH}px`;
  const columnCount = LEADING + columns.length + 1;
  const move = (row: number, column: number) => {
    const next = {
      row: Math.max(0, Math.min(count - 1, row)),
      column: Math.max(0, Math.min(columnCount - 1, column)),
    };
    setActive(next);
    virtual.scrollToIndex(next.row);
    requestAnimationFrame(() =>
      document.getElementById(cellId(next.row, next.column))?.scrollIntoView({ inline: "nearest", block: "nearest" }),
    );
  };
  const isEditable = (column: number) => {
    const field = columns[column - LEADING]?.field;
    return field !== undefined && !readOnly && !reasonLocked(field, organization);
  };
  const press = (event: KeyboardEvent) => {
    if (editing || event.target !== scroll.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.floor((scroll.current?.clientHeight ?? 400) / ROW_HEIGHT) - 2;
    const { row, column } = active;
    const current = rowAt(row);
    const keys: Record<string, (() => void) | undefined> = {
      ArrowDown: () => move(row + 1, column),
      ArrowUp: () => move(row - 1, column),
      j: () => move(row + 1, column),
      k: () => move(row - 1, column),
      ArrowRight: () => move(row, column + 1),
      ArrowLeft: () => move(row, column - 1),
      PageDown: () => move(row + page, column),
      PageUp: () => move(row - page, column),
      Home: () => move(row, 0),
      End: () => move(row, columnCount - 1),
      " ": current && (() => onSelect(row, event.shiftKey)),
      o: current && (() => onOpen(current)),
      Enter: current && (() => (column === 2 ? onOpen(current) : isEditable(column) && setEditing(true))),
      F2: () => isEditable(column) && setEditing(true),
    };
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  };
  const endEdit = useCallback(
    (back: boolean) => {
      setEditing(false);
      if (back) scroll.current?.focus();
    },
    [scroll],
  );

  return (
    <div
      ref={scroll}
      role="grid"
      aria-label="Records"
      aria-rowcount={count + 1}
      aria-colcount={columnCount}
      aria-multiselectable="true"
      aria-activedescendant={rowAt(active.row) && !editing ? cellId(active.row, active.column) : undefined}
      tabIndex={0}
      onKeyDown={press}
      className="group/grid relative min-h-64 grow overflow-auto border-t border-line text-[13px] outline-none"
    >
      <div
        role="row"
        aria-rowindex={1}
        className="sticky top-0 z-10 grid h-[36px] w-max min-w-full items-stretch border-b border-line bg-panel text-secondary"
        style={{ gridTemplateColumns: template }}
      >
        <span role="columnheader" className="flex items-center justify-center">
          <SelectAll
            label="Select all loaded records"
            tabIndex={-1}
            keys={keys}
            selected={selected}
            onSelect={onSelectAll}
          />
        </span>
        <span role="columnheader" className="flex items-center px-2">
          Status
        </span>
        <HeaderCell label="PFA" name="pfaId" order={order} onOrder={onOrder} />
        {columns.map(({ field, numeric }) => (
          <HeaderCell
            key={field.name}
            label={field.label}
            name={field.name}
            numeric={numeric}
            order={order}
            onOrder={onOrder}
          />
        ))}
        <span role="columnheader" className="flex items-center justify-end px-2">
          Forecast cost
        </span>
      </div>
      <div role="presentation" style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {items.map(({ index, start }) => {
          const row = rowAt(index);
          return (
            <GridRow
              key={`${index}/${row?.pfaId}`}
              index={index}
              top={start - ROW_HEIGHT}
              row={row}
              isRead={loaded.has(Math.floor(index / WINDOW))}
              template={template}
              columns={columns}
              organization={organization}
              readOnly={readOnly}
              isSelected={selected.has(row?.pfaId ?? "")}
              activeColumn={active.row === index ? active.column : null}
              isEditing={editing && active.row === index}
              onActivate={(column, edit) => {
                setActive({ row: index, column });
                setEditing(edit && isEditable(column));
                if (!edit) scroll.current?.focus({ preventScroll: true });
              }}
              onSelect={onSelect}
              onSave={onSave}
              onEndEdit={endEdit}
              onOpen={onOpen}
            />
          );
        })}
      </div>
    </div>
  );
}

/** How many rows the grid has. Rows that were not counted come a window at a time. */
export function rowCount(loaded: ReadonlyMap<number, RecordRow[]>, total: number, isMore: boolean): number {
  const ends = Array.from(loaded, ([window, rows]) => (rows.length > 0 ? window * WINDOW + rows.length : 0));
  const end = Math.max(0, ...ends);
  const goesOn = isMore && end >= total && end % WINDOW === 0 && !loaded.has(end / WINDOW);
  return goesOn ? end + WINDOW : Math.max(total, end);
}

function HeaderCell({
  label,
  name,
  numeric,
  order,
  onOrder,
}: {
  label: string;
  name: string;
  numeric?: boolean;
  order: Order;
  onOrder: (sort: string) => void;
}) {
  const isSorted = order.sort === name;
  return (
    <span
      role="columnheader"
      aria-sort={isSorted ? (order.descending ? "descending" : "ascending") : "none"}
      className="flex min-w-0"
    >
      <button
        type="button"
        tabIndex={-1}
        onClick={() => onOrder(name)}
        className={`flex min-w-0 grow cursor-pointer items-center gap-1 px-2 hover:bg-hover ${numeric ? "justify-end" : ""}`}
      >
        <span className="truncate">{label}</span>
        {isSorted && <Icon name={order.descending ? "down" : "up"} size={12} />}
      </button>
    </span>
  );
}
