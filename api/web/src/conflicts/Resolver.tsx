import { useEffect, useMemo, useRef, useState } from "react";
import type { Conflict, ResolutionCheck, Value, Values } from "../api/types";
import { KEYS, keyText, useKeys } from "../frame/keys";
import { needs } from "../frame/me";
import { amountText, differenceText } from "../plan/amount";
import { costOf } from "../plan/cost";
import { counted } from "../plan/count";
import { fieldOf } from "../plan/fields";
import { sentence } from "../plan/status";
import { valueText } from "../plan/value";
import { Button } from "../widgets/Button";
import { isWholeOnly, type Pick, type Picks, type Plan, pickedValue, type Side } from "./merge";
import { SIDE_NAMES, SIDES, Sides } from "./Sides";
import type { Check } from "./useCheck";

type Props = {
  conflict: Conflict;
  picks: Picks;
  onPicks: (picks: Picks) => void;
  /** What the picks ask for, and what the service says about it. */
  plan: Plan;
  check: Check;
  /** The record as PEMS has it, for the cost; absent: it is not shown. */
  record?: Values;
  /** Fields that PEMS changed while the resolver was open. */
  moved: string[];
  /** Why the user can't resolve it. */
  locked?: string;
  pending: boolean;
  onResolve: () => void;
  onNext?: () => void;
  /** Whether the resolver is in a window over another page. */
  inDialog?: boolean;
};

const WHOLE = "Take yours or PEMS in every field: a price that you may not see can't be chosen by itself";

/** Base, yours and PEMS side by side, for each field in conflict; driven by keyboard alone if wanted. */
export function Resolver({
  conflict,
  picks,
  onPicks,
  plan,
  check,
  record,
  moved,
  locked,
  pending,
  onResolve,
  onNext,
  inDialog,
}: Props) {
  const fields = useMemo(() => conflict.fields.filter((field) => field.conflict), [conflict]);
  const agreeing = conflict.fields.filter((field) => !field.conflict);
  const [current, setCurrent] = useState(0);
  const [edited, setEdited] = useState<string | null>(null);
  const [fault, setFault] = useState<string>();
  const [said, setSaid] = useState("");
  const groups = useRef<(HTMLDivElement | null)[]>([]);
  const errors = check.answer?.errors ?? [];
  const errorsOf = (name: string) => errors.filter(({ field }) => field === name).map(({ message }) => message);
  const refusals = refusalsOf(check);
  const isWhole = isWholeOnly(conflict);
  /** Why a single field can't be chosen. */
  const single = locked ?? (isWhole ? WHOLE : undefined);

  const focus = (row: number, side?: Side) => {
    setCurrent(row);
    const group = groups.current[row];
    const wanted =
      side ?? SIDES.find((name) => group?.querySelector(`[data-side=${name}][aria-checked=true]`)) ?? "ours";
    group?.querySelector<HTMLElement>(`[data-side=${wanted}]`)?.focus();
  };
  const pick = (name: string, chosen: Pick) => {
    if (single) {
      setSaid(single);
      return;
    }
    onPicks({ ...picks, [name]: chosen });
    const field = conflict.fields.find((other) => other.field === name);
    const side = "side" in chosen ? SIDE_NAMES[chosen.side] : "your own value";
    if (field)
      setSaid(
        `${fieldOf(name).label}: ${side}, ${field.hidden ? "hidden" : valueText(fieldOf(name), pickedValue(field, chosen))}`,
      );
  };
  const pickAll = (side: Side) => {
    if (locked) {
      setSaid(locked);
      return;
    }
    onPicks({ ...picks, ...Object.fromEntries(fields.map(({ field }) => [field, { side }])) });
    setSaid(`${SIDE_NAMES[side]} in every field`);
    setEdited(null);
  };
  const step = (by: number) => focus(Math.max(0, Math.min(fields.length - 1, current + by)));
  const turn = (by: number) => {
    const field = fields[current];
    if (!field) return;
    const before = picks[field.field];
    const at = before && "side" in before ? SIDES.indexOf(before.side) : 1;
    const side = SIDES[before ? Math.max(0, Math.min(2, at + by)) : by < 0 ? 1 : 2];
    if (!side) return;
    if (single) {
      setSaid(single);
      return;
    }
    pick(field.field, { side });
    focus(current, side);
  };
  const names = (fields: string[]) => fields.map((name) => fieldOf(name).label).join(", ");
  const blocked =
    locked ??
    (pending ? "It is being resolved" : undefined) ??
    fault ??
    (plan.open.length > 0 ? (isWhole ? WHOLE : `Choose a side for ${names(plan.open)}`) : undefined) ??
    (check.isCurrent && refusals.length > 0 ? `It would be refused. ${refusals.join(". ")}` : undefined);
  const resolve = () => {
    if (blocked) setSaid(blocked);
    else onResolve();
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the first field has the focus when a conflict is opened
  useEffect(() => focus(0), [conflict.conflictId]);
  useKeys(
    {
      allOurs: () => pickAll("ours"),
      allTheirs: () => pickAll("theirs"),
      editField: () => (single ? setSaid(single) : setEdited(fields[current]?.field ?? null)),
      resolve,
      ...(onNext && { nextConflict: onNext }),
    },
    { inDialog },
  );

  return (
    <div
      role="group"
      aria-label="Sides of each field"
      className="flex flex-col"
      onKeyDown={(event) => {
        if ((event.target as HTMLElement).getAttribute("role") !== "radio") return;
        const move = {
          ArrowUp: () => step(-1),
          ArrowDown: () => step(1),
          ArrowLeft: () => turn(-1),
          ArrowRight: () => turn(1),
          " ": () => turn(0),
        }[event.key];
        if (!move) return;
        event.preventDefault();
        move();
      }}
    >
      <div className="flex flex-wrap items-center gap-2 px-4 pb-2">
        <span className="text-secondary">In every field:</span>
        <Button hint={KEYS.allOurs.keys} reason={locked} onClick={() => pickAll("ours")}>
          Yours
        </Button>
        <Button hint={KEYS.allTheirs.keys} reason={locked} onClick={() => pickAll("theirs")}>
          PEMS
        </Button>
        <span className="hidden items-center gap-1.5 text-xs text-secondary md:flex">
          <kbd className="key">↑</kbd>
          <kbd className="key">↓</kbd> field
          {!isWhole && (
            <>
              <kbd className="key">←</kbd>
              <kbd className="key">→</kbd> side <kbd className="key">{KEYS.editField.keys}</kbd> other value
            </>
          )}
        </span>
      </div>
      {isWhole && (
        <p className="px-4 pb-2 text-attention">
          You may not see a price in conflict, so no field can be chosen by itself. Yours: the edit is sent as it is.
          PEMS: the whole edit is given up. A user who may see prices can choose for each field.
        </p>
      )}
      <div className="border-t border-line">
        <div
          aria-hidden="true"
          className="hidden border-b border-line bg-panel text-secondary md:grid md:grid-cols-[10rem_repeat(3,minmax(0,1fr))_minmax(9rem,0.9fr)]"
        >
          <span className="px-4 py-1.5">Field</span>
          <span className="px-4 py-1.5">Base: what the author saw</span>
          <span className="px-4 py-1.5">Yours: the edit</span>
          <span className="px-4 py-1.5">PEMS now</span>
          <span className="px-3 py-1.5">Result</span>
        </div>
        {fields.map((field, row) => (
          <Sides
            key={field.field}
            ref={(group) => {
              groups.current[row] = group;
            }}
            field={field}
            pick={picks[field.field]}
            isCurrent={row === current}
            isEdited={edited === field.field}
            moved={moved.includes(field.field)}
            errors={errorsOf(field.field)}
            locked={single}
            onPick={(chosen) => pick(field.field, chosen)}
            onFault={setFault}
            onFocus={() => setCurrent(row)}
            onEdit={(open) => {
              setEdited(open && !single ? field.field : null);
              setFault(undefined);
              if (!open) focus(row);
            }}
          />
        ))}
        {record && <CostRow conflict={conflict} record={record} answer={check.answer} isCurrent={check.isCurrent} />}
      </div>
      {agreeing.length > 0 && (
        <details className="border-b border-line px-4 py-2">
          <summary className="cursor-pointer text-secondary">
            {counted(
              agreeing.length,
              "more field of the edit does not conflict",
              "more fields of the edit do not conflict",
            )}
          </summary>
          <ul className="py-1">
            {agreeing.map(({ field, ours, theirs, hidden }) => (
              <li key={field}>
                {fieldOf(field).label}:{" "}
                {hidden
                  ? "hidden"
                  : `${valueText(fieldOf(field), theirs as Value)} → ${valueText(fieldOf(field), ours as Value)}`}
                {errorsOf(field).map((message) => (
                  <span key={message} className="block text-failed">
                    {message}
                  </span>
                ))}
              </li>
            ))}
          </ul>
        </details>
      )}
      <footer className="bottom-0 flex flex-wrap items-center gap-x-4 gap-y-2 bg-panel px-4 py-3 md:sticky">
        <div className={`min-w-60 grow ${check.answer && !check.isCurrent ? "text-secondary" : ""}`}>
          <p>{outcome(conflict, plan, check, isWhole)}</p>
          {refusals.map((refusal) => (
            <p key={refusal} className="text-failed">
              {refusal}
            </p>
          ))}
        </div>
        {onNext && (
          <Button hint={KEYS.nextConflict.keys} onClick={onNext}>
            Next
          </Button>
        )}
        <Button kind="primary" hint={keyText(KEYS.resolve.keys)} reason={blocked} onClick={resolve}>
          Resolve
        </Button>
      </footer>
      <p aria-live="polite" className="sr-only">
        {said}
      </p>
      <p aria-live="polite" className="sr-only">
        {check.isCurrent ? refusals.join(". ") : ""}
      </p>
    </div>
  );
}

/** Why a resolution would be refused: values that are not valid, and permissions that the user lacks. */
function refusalsOf({ answer }: Check): string[] {
  if (!answer) return [];
  return [
    ...answer.errors.map(({ field, message }) => (field ? `${fieldOf(field).label}: ${message}` : sentence(message))),
    ...answer.missingPermissions.map(needs),
  ];
}

/** What a resolution does, in words. */
function outcome(conflict: Conflict, plan: Plan, { answer, error }: Check, isWhole: boolean): string {
  if (plan.open.length > 0 && isWhole) return "No side is chosen yet.";
  if (plan.open.length > 0) return `${counted(plan.open.length, "field is", "fields are")} not chosen yet.`;
  if (plan.resolution === "use_pems") {
    const isMore = conflict.fields.some((field) => !field.conflict);
    return `Nothing is sent: PEMS keeps its values, and the ${isMore ? "whole " : ""}edit is given up.`;
  }
  if (!answer) return error ? "What will be sent could not be read. It is checked again when you resolve." : "";
  if (answer.operation === "DELETE") return "PEMS is asked to delete the record.";
  const theirs = new Map(conflict.fields.map(({ field, theirs }) => [field, theirs as Value]));
  const changes = Object.entries(answer.sends).map(([name, to]) => {
    const field = fieldOf(name);
    return `${field.label} ${valueText(field, to)}${theirs.has(name) ? ` (PEMS has ${valueText(field, theirs.get(name))})` : ""}`;
  });
  if (answer.sendsHidden) changes.push("prices that you may not see");
  return changes.length > 0
    ? `Sent to PEMS: ${changes.join("; ")}.`
    : "Nothing is sent: PEMS has these values already.";
}

/** The forecast cost by each side, and by what is chosen. */
function CostRow({
  conflict,
  record,
  answer,
  isCurrent,
}: {
  conflict: Conflict;
  record: Values;
  answer?: ResolutionCheck;
  isCurrent: boolean;
}) {
  if (conflict.fields.some(({ hidden }) => hidden)) return null;
  const costs = SIDES.map((name) =>
    costOf({ ...record, ...Object.fromEntries(conflict.fields.map((field) => [field.field, field[name] as Value])) }),
  );
  if (costs.every((cost) => cost === null)) return null;
  const [before, after] = [answer?.cost ?? null, answer?.costAfter ?? null];
  return (
    <div className="grid grid-cols-2 border-b border-line bg-panel md:grid-cols-[10rem_repeat(3,minmax(0,1fr))_minmax(9rem,0.9fr)]">
      <span className="col-span-2 px-4 py-2 font-medium md:col-span-1">Cost</span>
      {costs.map((cost, index) => (
        <span key={SIDES[index]} className="px-4 py-2">
          <span className="text-xs text-secondary md:hidden">{SIDE_NAMES[SIDES[index] ?? "base"]} </span>
          {cost === null ? "—" : amountText(cost)}
        </span>
      ))}
      <span className={`px-3 py-2 font-medium ${isCurrent ? "" : "text-secondary"}`}>
        {after === null ? "—" : amountText(after)}
        {after !== null && before !== null && after !== before && (
          <span className="block text-xs font-normal text-attention">{differenceText(after - before)} to PEMS</span>
        )}
      </span>
    </div>
  );
}
