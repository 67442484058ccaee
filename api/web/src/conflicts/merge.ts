import type { Conflict, Value, Values } from "../api/types";
import { fieldOf } from "../plan/fields";
import { isSame } from "../plan/value";

export type Side = "base" | "ours" | "theirs";

/** What a person chose for a field: a side, or a value of their own. */
export type Pick = { side: Side } | { value: Value };

export type Picks = Record<string, Pick>;

/** What a resolution does: what is called, and which fields PEMS would get. */
export type Plan = {
  resolution: "use_local" | "use_pems" | "merge";
  mergedData?: Values;
  /** The fields that are sent, with the value that PEMS has and the one it would get. */
  sends: { field: string; from: Value; to: Value }[];
  /** Fields in conflict that nothing was chosen for yet. */
  open: string[];
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
    return pick ? [{ field, pick, to: pickedValue(field, pick) }] : [];
  });
  const others = conflict.fields
    .filter((field) => !field.conflict)
    .map((field) => ({ field, to: field.ours as Value }));
  const sends = [...picked, ...others]
    .filter(({ field, to }) => !isSame(fieldOf(field.field), field.theirs as Value, to))
    .map(({ field, to }) => ({ field: field.field, from: field.theirs as Value, to }));
  const every = (side: Side) => picked.every(({ pick }) => "side" in pick && pick.side === side);
  if (every("ours")) return { resolution: "use_local", sends, open };
  if (every("theirs") && sends.length === 0) return { resolution: "use_pems", sends, open };
  const mergedData = Object.fromEntries(picked.map(({ field, to }) => [field.field, to ?? null]));
  return { resolution: "merge", mergedData, sends, open };
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
