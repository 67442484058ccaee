import { readAmount } from "../plan/amount";
import { dayOf, momentOf } from "../plan/day";
import { FIELDS, type Field } from "../plan/fields";

/** A part of a search as it is written: `category:Crane,Lifting`, `monthlyRate:5000..20000`, or a word. */
export type Token = { text: string; name?: string; values: string[]; fault?: string };

/** What the service is asked for. */
export type Search = { filter: Record<string, unknown>; search?: string; faults: string[] };

export const STATES = ["draft", "queued", "syncing", "conflict", "failed", "synced"];

/** The names that a filter may have besides those of fields. */
const SPECIAL = ["state", "author", "pfa"];

/** What may stand before the colon. */
export const FILTER_NAMES = [
  ...SPECIAL,
  ...FIELDS.filter(({ name }) => name !== "pfaId" && name !== "organization").map(({ name }) => name),
];

/** Splits a search into its tokens. A value with blanks or commas stands in quotes. */
export function tokensOf(text: string): Token[] {
  const found = text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  return found.map((part) => {
    const [, name, rest] = part.match(/^([A-Za-z]+):(.*)$/s) ?? [];
    const known = name && FILTER_NAMES.find((other) => other.toLowerCase() === name.toLowerCase());
    if (!known) return { text: part, values: [part.replaceAll('"', "")] };
    const values = (rest?.match(/(?:[^,"]|"[^"]*"?)+/g) ?? [])
      .map((value) => value.replaceAll('"', ""))
      .filter(Boolean);
    return { text: part, name: known, values, ...(values.length === 0 && { fault: `Write a value after ${known}:` }) };
  });
}

/** Writes a token for a filter. */
export function tokenText(name: string, values: string[]): string {
  return `${name}:${values.map((value) => (/[\s,":]/.test(value) ? `"${value}"` : value)).join(",")}`;
}

/** What is asked for, or what is wrong with the tokens. */
export function searchOf(tokens: Token[], userId: string): Search {
  const filter: Record<string, unknown> = {};
  const words: string[] = [];
  const faults: string[] = [];
  for (const token of tokens) {
    if (token.fault) faults.push(token.fault);
    else if (!token.name) words.push(...token.values);
    else {
      const read = readFilter(token.name, token.values, userId);
      if ("fault" in read) faults.push(read.fault);
      else if (token.name === "pfa") filter.pfa_ids = read.value;
      else filter[token.name] = read.value;
    }
  }
  return { filter, search: words.join(" ") || undefined, faults };
}

type Read = { value: unknown } | { fault: string };

function readFilter(name: string, values: string[], userId: string): Read {
  if (name === "pfa") return { value: values };
  if (name === "author") return { value: values.map((value) => (value === "me" ? userId : value)) };
  if (name === "state") {
    const wrong = values.find((value) => !STATES.includes(value.toLowerCase()));
    return wrong === undefined
      ? { value: values.map((value) => value.toLowerCase()) }
      : { fault: `${wrong} is no state; there are ${STATES.join(", ")}` };
  }
  const field = FIELDS.find((other) => other.name === name);
  if (field?.type === "amount" || field?.type === "day") return readRange(field, values.join(","));
  if (field?.type === "boolean") {
    const truth = { yes: true, true: true, no: false, false: false }[values[0]?.toLowerCase() ?? ""];
    return truth === undefined ? { fault: `${name} takes yes or no` } : { value: truth };
  }
  // The word "none" stands for records without a value.
  const plain = values.map((value) => (value === "none" ? null : value));
  return { value: plain.length === 1 ? plain[0] : plain };
}

function readRange(field: Field, text: string): Read {
  const [, from = "", to = ""] = text.match(/^>=?(.*)$/)?.concat("") ??
    text.match(/^<=?(.*)$/)?.toSpliced(1, 0, "") ??
    text.match(/^(.*?)\.\.(.*)$/) ?? ["", text, text];
  const bounds: Record<string, unknown> = {};
  for (const [bound, written] of [
    ["from", from],
    ["to", to],
  ] as const) {
    if (written === "") continue;
    const value = field.type === "amount" ? readAmount(written, "en-US") : dayOf(fullDay(written, bound));
    if (value === undefined || value === null) {
      return {
        fault: `${written} is no ${field.type === "amount" ? "amount" : "date such as 2027-01-31"}; a range is written a..b, >a or <b`,
      };
    }
    bounds[bound] = field.type === "amount" ? value : momentOf(String(value));
  }
  return { value: bounds };
}

/** A year or a month stands for its first day, or for its last one at the end of a range. */
function fullDay(text: string, bound: "from" | "to"): string {
  if (/^\d{4}$/.test(text)) return bound === "from" ? `${text}-01-01` : `${text}-12-31`;
  const [, year, month] = text.match(/^(\d{4})-(\d{2})$/) ?? [];
  if (!year || !month) return text;
  return bound === "from"
    ? `${text}-01`
    : new Date(Date.UTC(Number(year), Number(month), 0)).toISOString().slice(0, 10);
}
