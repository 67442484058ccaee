import type { ReactNode } from "react";
import { TableScroll } from "../widgets/TableScroll";

/** Selects all rows, or none. */
export function SelectAll({
  label = "Select all shown",
  keys,
  selected,
  onSelect,
  tabIndex,
}: {
  label?: string;
  keys: string[];
  selected: ReadonlySet<string>;
  onSelect: (keys: string[]) => void;
  tabIndex?: number;
}) {
  const count = keys.filter((key) => selected.has(key)).length;
  const isAll = keys.length > 0 && count === keys.length;
  return (
    <input
      ref={(box) => {
        if (box) box.indeterminate = count > 0 && !isAll;
      }}
      type="checkbox"
      tabIndex={tabIndex}
      aria-label={label}
      checked={isAll}
      onChange={(event) => onSelect(event.target.checked ? keys : [])}
    />
  );
}

/** Selects a row; with Shift, all from the row selected before. */
export function SelectOne({
  label,
  checked,
  onToggle,
  tabIndex,
}: {
  label: string;
  checked: boolean;
  onToggle: (range: boolean) => void;
  tabIndex?: number;
}) {
  return (
    <input
      type="checkbox"
      tabIndex={tabIndex}
      aria-label={label}
      checked={checked}
      onClick={(event) => onToggle(event.shiftKey)}
      onChange={() => undefined}
    />
  );
}

type Column = string | { label: string; kind: "number" | "unseen" };

/** A table whose rows can be selected. Its rows are `SelectRow`s. */
export function SelectTable({
  label,
  columns,
  keys,
  selected,
  onSelect,
  className,
  children,
}: {
  label: string;
  columns: Column[];
  keys: string[];
  selected: ReadonlySet<string>;
  onSelect: (keys: string[]) => void;
  className?: string;
  children: ReactNode;
}) {
  return (
    <TableScroll label={label} className={className}>
      <table className="data-table">
        <thead>
          <tr>
            <th scope="col" className="w-8">
              <SelectAll keys={keys} selected={selected} onSelect={onSelect} />
            </th>
            {columns.map((column) => {
              const { label, kind = "text" } = typeof column === "string" ? { label: column } : column;
              return (
                <th key={label} scope="col" className={kind === "number" ? "number" : undefined}>
                  {kind === "unseen" ? <span className="sr-only">{label}</span> : label}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </TableScroll>
  );
}

/** A row that can be selected. */
export function SelectRow({
  label,
  isSelected,
  onToggle,
  children,
}: {
  label: string;
  isSelected: boolean;
  onToggle: (range: boolean) => void;
  children: ReactNode;
}) {
  return (
    <tr aria-selected={isSelected} className={isSelected ? "bg-chosen" : ""}>
      <td>
        <SelectOne label={label} checked={isSelected} onToggle={onToggle} />
      </td>
      {children}
    </tr>
  );
}
