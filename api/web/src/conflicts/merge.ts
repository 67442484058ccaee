import type { Conflict, Value, Values } from "../api/types";
import { fieldOf } from "../plan/fields";
import { isSame } from "../plan/value";

export type Side = "base" | "ours" | "theirs";

/** What a person chose for a field: a side, or a value of their own. */
export type Pick = { side: Side } | { value: Value };

export type Picks = Record<string, Pick>;

/** What the picks ask for. What it would send, the service says. */
export type Plan = {
  resolution: "use_local" | "use_pems" | "merge";
  mergedData?: Values;
  /** Fields in conflict that nothing was chosen for yet. */
  open: string[];
};

/** Whether one side is taken in every field: a price that the user may not see can't be merged. */
export function isWholeOnly(conflict: Conflict): boolean {
  return conflict.fields.some((field) => field.conflict && field.hidden);
}

/** The value that a pick gives a field. */
export function pickedValue(field: Conflict["fields"][number], pick: Pick): Value {
  return ("side" in pick ? field[pick.side] : pick.value) as Value;
}

/**
 * What follows from the picks. Yours everywhere sends the edit as it is; PEMS' everywhere gives it up if nothing else is
 * in it; anything else is a merge. Fields of the edit that do not conflict are sent in any case but the second. Where
 * nothing can be merged, PEMS' gives the whole edit up, and a mixture is no choice.
 */
export function planOf(conflict: Conflict, picks: Picks): Plan {
  const inConflict = conflict.fields.filter((field) => field.conflict);
  const open = inConflict.filter(({ field }) => !picks[field]).map(({ field }) => field);
  const picked = inConflict.flatMap((field) => {
    const pick = picks[field.field];
    return pick ? [{ field, pick }] : [];
  });
  const every = (side: Side) => picked.every(({ pick }) => "side" in pick && pick.side === side);
  const isWhole = isWholeOnly(conflict);
  if (every("ours")) return { resolution: "use_local", open };
  if (every("theirs") && (isWhole || inConflict.length === conflict.fields.length))
    return { resolution: "use_pems", open };
  if (isWhole) return { resolution: "use_local", open: inConflict.map(({ field }) => field) };
  const mergedData = Object.fromEntries(
    picked.map(({ field, pick }) => [field.field, pickedValue(field, pick) ?? null]),
  );
  return { resolution: "merge", mergedData, open };
}

/** The picks that still hold after the record has moved: those of fields whose values are as they were. */
export function stillValid(picks: Picks, before: Conflict, after: Conflict): Picks {
  const same = (name: string) => {
    const [old, now] = [before, after].map(({ fields }) => fields.find(({ field }) => field === name));
    return (
      old &&
      now &&
      isSame(fieldOf(name), old.theirs as Value, now.theirs as Value) &&
      isSame(fieldOf(name), old.ours as Value, now.ours as Value)
    );
  };
  return Object.fromEntries(Object.entries(picks).filter(([name]) => same(name)));
}

/** The fields whose value in PEMS is another one than before. */
export function movedFields(before: Conflict, after: Conflict): string[] {
  return after.fields
    .filter(({ field, theirs }) => {
      const old = before.fields.find((other) => other.field === field);
      return !old || !isSame(fieldOf(field), old.theirs as Value, theirs as Value);
    })
    .map(({ field }) => field);
}
