import type { ReactNode } from "react";
import type { View } from "../frame/view";
import { Button } from "../widgets/Button";
import { Choice } from "../widgets/Choice";

export type FilterEntry =
  | { name: string; label: string; kind: "choice"; options: [string, string][] }
  | { name: string; label: string; kind: "text" | "date"; placeholder?: string };

type Props = { entries: FilterEntry[]; view: View; onChange: (change: View) => void; children?: ReactNode };

/** The filters of a list. They stand in the address. */
export function FilterBar({ entries, view, onChange, children }: Props) {
  const inUse = entries.filter(({ name }) => view[name]);
  return (
    <search className="flex flex-wrap items-center gap-2 px-4 pb-2">
      {entries.map((entry) =>
        entry.kind === "choice" ? (
          <Choice
            key={entry.name}
            bare
            label={entry.label}
            value={view[entry.name] ?? ""}
            options={[["", `${entry.label}: any`], ...entry.options]}
            onChange={(value) => onChange({ [entry.name]: value })}
          />
        ) : (
          <label key={entry.name} className="flex items-center gap-1.5">
            <span className="text-secondary">{entry.label}</span>
            <input
              // A new value in the address is shown; what is being written is not taken away.
              key={view[entry.name] ?? ""}
              className="field w-36"
              type={entry.kind}
              placeholder={entry.placeholder}
              defaultValue={view[entry.name] ?? ""}
              data-search={entry.kind === "text" ? "" : undefined}
              onBlur={(event) =>
                event.target.value !== (view[entry.name] ?? "") && onChange({ [entry.name]: event.target.value })
              }
              onKeyDown={(event) => event.key === "Enter" && onChange({ [entry.name]: event.currentTarget.value })}
              onChange={(event) => entry.kind === "date" && onChange({ [entry.name]: event.target.value })}
            />
          </label>
        ),
      )}
      {inUse.length > 0 && (
        <Button kind="quiet" onClick={() => onChange(Object.fromEntries(inUse.map(({ name }) => [name, undefined])))}>
          Clear filters
        </Button>
      )}
      {children}
    </search>
  );
}
