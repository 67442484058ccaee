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
  /** Fields whose values the user may not see, so that they can't be merged. */
  unknown: string[];
};

/** The value that a pick gives a field. */
export function pickedValue(field: Conflict["fields"][number], pick: Pick): Value {
  return ("side" in pick ? field[pick.side] : pick.value) as Value;
}

/**
 * What follows from the picks. Yours everywhere sends the edit as it is; PEMS' everywhere gives it up if nothing else is
 * in it; anything else is a merge. Fields of the edit that do not conflict are sent in any case but the second.
 */
export function planOf(conflict: Conflict, picks: Picks): Plan {
  const inConflict = conflict.fields.filter((field) => field.conflict);
  const open = inConflict.filter(({ field }) => !picks[field]).map(({ field }) => field);
  const picked = inConflict.flatMap((field) => {
    const pick = picks[field.field];
    return pick ? [{ field, pick }] : [];
  });
  const every = (side: Side) => picked.every(({ pick }) => "side" in pick && pick.side === side);
  if (every("ours")) return { resolution: "use_local", open, unknown: [] };
  if (every("theirs") && inConflict.length === conflict.fields.length)
    return { resolution: "use_pems", open, unknown: [] };
  const mergedData = Object.fromEntries(
    picked.map(({ field, pick }) => [field.field, pickedValue(field, pick) ?? null]),
  );
  const unknown = inConflict.filter(({ hidden }) => hidden).map(({ field }) => field);
  return { resolution: "merge", mergedData, open, unknown };
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
