import { type KeyboardEvent, type Ref, useState } from "react";
import type { ConflictField, Value } from "../api/types";
import { Entry } from "../plan/Entry";
import { fieldOf } from "../plan/fields";
import { difference, valueText } from "../plan/value";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { Changed } from "./Changed";
import { type Pick, pickedValue, type Side } from "./merge";

export const SIDES: Side[] = ["base", "ours", "theirs"];
export const SIDE_NAMES: Record<Side, string> = { base: "Base", ours: "Yours", theirs: "PEMS" };

type Props = {
  field: ConflictField;
  pick: Pick | undefined;
  isCurrent: boolean;
  isEdited: boolean;
  moved: boolean;
  /** Why the service would refuse the chosen value. */
  errors: string[];
  /** Why no side can be chosen for this field alone. */
  locked?: string;
  onPick: (pick: Pick) => void;
  onEdit: (open: boolean) => void;
  onFault: (fault: string | undefined) => void;
  onFocus: () => void;
  ref?: Ref<HTMLDivElement>;
};

/** A field in conflict: its three sides to choose from, and what it will be. */
export function Sides({
  field,
  pick,
  isCurrent,
  isEdited,
  moved,
  errors,
  locked,
  onPick,
  onEdit,
  onFault,
  onFocus,
  ref,
}: Props) {
  const known = fieldOf(field.field);
  const [fault, setFault] = useState<string>();
  const chosen = pick && "side" in pick ? pick.side : null;
  const result = pick ? pickedValue(field, pick) : undefined;
  const base = valueText(known, field.base as Value);
  return (
    <div
      className={`grid border-b border-line md:grid-cols-[10rem_repeat(3,minmax(0,1fr))_minmax(9rem,0.9fr)] ${isCurrent ? "bg-chosen/60" : ""}`}
    >
      <div className="flex flex-col justify-center gap-0.5 px-4 py-2 font-medium">
        <span id={`field-${field.field}`}>{known.label}</span>
        {moved && <span className="text-xs font-normal text-attention">PEMS changed it just now</span>}
        {field.hidden && <span className="text-xs font-normal text-secondary">You may not see prices</span>}
      </div>
      <div
        ref={ref}
        role="radiogroup"
        aria-labelledby={`field-${field.field}`}
        aria-describedby={errors.length > 0 ? `errors-${field.field}` : undefined}
        aria-disabled={locked ? true : undefined}
        className="contents"
        onFocus={onFocus}
      >
        {SIDES.map((side) => {
          const text = field.hidden ? "hidden" : valueText(known, field[side] as Value);
          const change =
            side === "base" || field.hidden ? null : difference(known, field.base as Value, field[side] as Value);
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the resolver, which moves the focus too
            <div
              key={side}
              role="radio"
              aria-checked={chosen === side}
              aria-disabled={locked ? true : undefined}
              title={locked}
              aria-label={`${SIDE_NAMES[side]}: ${text}${change ? `, ${change}` : ""}`}
              data-side={side}
              tabIndex={isCurrent && (chosen ?? "ours") === side ? 0 : -1}
              onClick={() => onPick({ side })}
              className={`m-1 flex items-start gap-2 rounded-md border px-3 py-2 ${locked ? "cursor-not-allowed" : "cursor-pointer"} ${chosen === side ? "border-link bg-chosen ring-1 ring-link" : `border-line ${locked ? "" : "hover:bg-hover"}`}`}
            >
              <span
                aria-hidden="true"
                className={`mt-0.5 flex size-4 shrink-0 items-center justify-center rounded-full border ${chosen === side ? "border-link bg-link text-surface" : "border-control"}`}
              >
                {chosen === side && <Icon name="synced" size={11} strokeWidth={3.5} />}
              </span>
              <span className="flex min-w-0 grow flex-col">
                <span className="text-xs text-secondary md:hidden">{SIDE_NAMES[side]}</span>
                <span className="break-words">
                  {side === "base" || known.type !== "text" ? text : <Changed text={text} from={base} />}
                </span>
                {change && <span className="text-xs text-attention">{change}</span>}
              </span>
            </div>
          );
        })}
      </div>
      <div className="flex flex-col justify-center px-3 py-2">
        <div className="flex items-center gap-1">
          {isEdited ? (
            <div className="flex w-full flex-col">
              <Entry
                field={known}
                value={result ?? (field.ours as Value)}
                label={`Other value of ${known.label}`}
                autoFocus
                onKeyDown={(event: KeyboardEvent) => {
                  if (event.key === "Escape" || (event.key === "Enter" && !fault)) {
                    event.preventDefault();
                    event.stopPropagation();
                    onEdit(false);
                  }
                }}
                onChange={(value, wrong) => {
                  setFault(wrong);
                  onFault(wrong);
                  if (!wrong) onPick({ value });
                }}
              />
              {fault && (
                <span role="alert" className="text-xs text-failed">
                  {fault}
                </span>
              )}
            </div>
          ) : (
            <>
              <span className={`min-w-0 grow break-words ${pick ? "font-medium" : "text-attention"}`}>
                {pick ? (field.hidden ? "as chosen" : valueText(known, result)) : "not chosen yet"}
                {pick && !chosen && <span className="block text-xs font-normal text-secondary">your own value</span>}
              </span>
              <Button
                kind="quiet"
                aria-label={`Write another value for ${known.label}`}
                reason={locked}
                tip="Write another value (e)"
                onClick={() => onEdit(true)}
              >
                <Icon name="draft" size={14} />
              </Button>
            </>
          )}
        </div>
        {errors.length > 0 && (
          <p id={`errors-${field.field}`} className="text-xs break-words text-failed">
            {errors.join(". ")}
          </p>
        )}
      </div>
    </div>
  );
}
