import { memo, useState } from "react";
import { errorLines } from "../api/problem";
import type { MyOrganization, RecordRow, Value } from "../api/types";
import { SelectOne } from "../lists/SelectTable";
import { amountText } from "../plan/amount";
import { costOf } from "../plan/cost";
import { Entry } from "../plan/Entry";
import { type Field, fieldOf, reasonLocked } from "../plan/fields";
import { leading, type Status } from "../plan/status";
import { isSame, valueText } from "../plan/value";
import { Icon } from "../widgets/icons";
import { StatusMark } from "../widgets/StatusMark";
import { Tip } from "../widgets/Tip";
import type { Column } from "./columns";
import { RowStatus } from "./RowStatus";

/** The id of a cell, by which the grid names the active one. */
export function cellId(row: number, column: number): string {
  return `cell-${row}-${column}`;
}

type Props = {
  index: number;
  top: number;
  /** undefined: the row is not read yet, or, if its window is, there is none any more. */
  row: RecordRow | undefined;
  isRead: boolean;
  template: string;
  columns: Column[];
  organization: MyOrganization;
  readOnly: string | undefined;
  isSelected: boolean;
  activeColumn: number | null;
  isEditing: boolean;
  onActivate: (column: number, edit: boolean) => void;
  onSelect: (index: number, range: boolean) => void;
  onSave: (row: RecordRow, field: string, value: Value) => Promise<void>;
  onEndEdit: (back: boolean) => void;
  onOpen: (row: RecordRow) => void;
};

/** A record in the grid. */
export const GridRow = memo(function GridRow(props: Props) {
  const {
    index,
    top,
    row,
    isRead,
    template,
    columns,
    organization,
    readOnly,
    isSelected,
    activeColumn,
    isEditing,
    onActivate,
    onSelect,
    onSave,
    onEndEdit,
    onOpen,
  } = props;
  const place = { gridTemplateColumns: template, transform: `translateY(${top}px)` };
  const shape = "absolute top-0 left-0 grid h-[36px] w-max min-w-full items-stretch border-b border-line";
  if (!row) {
    return (
      <div role="row" aria-rowindex={index + 2} aria-busy={!isRead} className={shape} style={place}>
        <span role="gridcell" className="col-span-3 flex items-center px-3">
          {isRead ? (
            <span className="text-secondary">No record here any more</span>
          ) : (
            <span className="h-2.5 w-2/3 rounded bg-hover" />
          )}
        </span>
      </div>
    );
  }
  const ring = (column: number) =>
    activeColumn === column
      ? "scroll-m-10 group-focus/grid:outline-2 group-focus/grid:-outline-offset-2 group-focus/grid:outline-link"
      : "";
  const cost = costOf(row.data);
  const before = row.base ? costOf({ ...row.data, ...row.base }) : null;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isSelected}
      className={`${shape} ${isSelected ? "bg-chosen" : "bg-surface hover:bg-hover"}`}
      style={place}
    >
      <span role="gridcell" id={cellId(index, 0)} className={`flex items-center justify-center ${ring(0)}`}>
        <SelectOne
          label={`Select record ${row.pfaId}`}
          tabIndex={-1}
          checked={isSelected}
          onToggle={(range) => onSelect(index, range)}
        />
      </span>
      <span role="gridcell" id={cellId(index, 1)} className={`flex items-center px-2 ${ring(1)}`}>
        <Tip text={<RowStatus row={row} organizationId={organization.organizationId} />} delay={250}>
          <button type="button" tabIndex={-1} className="cursor-default rounded" onClick={() => onActivate(1, false)}>
            <StatusMark
              status={leading(row.states)}
              also={row.states.length > 1 ? (row.states as Status[]) : undefined}
            />
          </button>
        </Tip>
      </span>
      <span role="gridcell" id={cellId(index, 2)} className={`flex items-center px-2 ${ring(2)}`}>
        <button type="button" tabIndex={-1} className="link truncate" onClick={() => onOpen(row)}>
          {row.pfaId}
        </button>
      </span>
      {columns.map(({ field, numeric }, offset) => (
        <FieldCell
          key={field.name}
          id={cellId(index, offset + 3)}
          row={row}
          field={field}
          numeric={numeric}
          ring={ring(offset + 3)}
          locked={readOnly ?? reasonLocked(field, organization)}
          isEditing={isEditing && activeColumn === offset + 3}
          onActivate={(edit) => onActivate(offset + 3, edit)}
          onSave={(value) => onSave(row, field.name, value)}
          onEndEdit={onEndEdit}
        />
      ))}
      <span
        role="gridcell"
        id={cellId(index, columns.length + 3)}
        className={`flex items-center justify-end px-2 ${ring(columns.length + 3)}`}
        title={before !== null && before !== cost ? `Was ${amountText(before)}` : undefined}
      >
        {cost === null ? <span className="text-secondary">—</span> : amountText(cost)}
      </span>
    </div>
  );
});

type CellProps = {
  id: string;
  row: RecordRow;
  field: Field;
  numeric?: boolean;
  ring: string;
  locked: string | undefined;
  isEditing: boolean;
  onActivate: (edit: boolean) => void;
  onSave: (value: Value) => Promise<void>;
  onEndEdit: (back: boolean) => void;
};

function FieldCell({ id, row, field, numeric, ring, locked, isEditing, onActivate, onSave, onEndEdit }: CellProps) {
  const [saving, setSaving] = useState<{ value: Value } | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const value = saving ? saving.value : row.data[field.name];
  const isDraft = row.base != null && field.name in row.base;
  const fault = row.errors?.find((error) => error.field === field.name);
  const conflict = row.conflicts?.find((other) => other.field === field.name);
  const save = async (written: Value) => {
    if (isSame(field, row.data[field.name], written)) return;
    setFailure(null);
    setSaving({ value: written });
    try {
      await onSave(written);
    } catch (error) {
      setFailure(errorLines(error).join(" "));
    } finally {
      setSaving(null);
    }
  };
  if (isEditing) {
    return (
      <span role="gridcell" id={id} className="flex items-center">
        <CellEntry field={field} value={value} onSave={save} onEnd={onEndEdit} />
      </span>
    );
  }
  const note = failure
    ? `Not saved: ${failure}`
    : fault
      ? fault.message
      : conflict
        ? `PEMS has ${valueText(field, conflict.theirs)} now; a commit would be a conflict`
        : isDraft
          ? `Draft; was ${valueText(field, row.base?.[field.name])}`
          : undefined;
  const tone = failure || fault ? "text-failed" : conflict ? "text-attention" : isDraft ? "text-link font-medium" : "";
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys
    <span
      role="gridcell"
      id={id}
      aria-readonly={locked ? true : undefined}
      title={note ?? locked}
      onClick={() => onActivate(false)}
      onDoubleClick={() => onActivate(true)}
      className={`flex min-w-0 items-center gap-1 px-2 ${numeric ? "justify-end" : ""} ${locked ? "" : "cursor-text"} ${saving ? "text-secondary" : tone} ${ring}`}
    >
      {(failure || fault || conflict) && (
        <Icon name={conflict && !failure && !fault ? "conflict" : "warning"} size={13} className="shrink-0" />
      )}
      <span className="truncate">{valueText(field, value)}</span>
      {note && <span className="sr-only">, {note}</span>}
    </span>
  );
}

function CellEntry({
  field,
  value,
  onSave,
  onEnd,
}: {
  field: Field;
  value: Value;
  onSave: (value: Value) => Promise<void>;
  onEnd: (back: boolean) => void;
}) {
  const [written, setWritten] = useState<{ value: Value | undefined } | null>(null);
  const end = (back: boolean, keep: boolean) => {
    // What can't be read is not saved, and the entry stays open to be corrected.
    if (keep && written && written.value === undefined) return;
    onEnd(back);
    if (keep && written) void onSave(written.value);
  };
  return (
    <Entry
      field={fieldOf(field.name)}
      value={value}
      className="h-8"
      ref={(element) => element?.focus()}
      onChange={(next, fault) => setWritten({ value: fault ? undefined : next })}
      onBlur={() => end(false, true)}
      onKeyDown={(event) => {
        if (event.key === "Escape") end(true, false);
        if (event.key === "Enter") end(true, true);
        if (event.key === "Enter" || event.key === "Escape") event.stopPropagation();
      }}
    />
  );
}
