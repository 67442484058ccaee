import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";
import { CACHE, useApi } from "../api/context";
import { countText } from "../plan/count";
import { FIELDS } from "../plan/fields";
import { Button } from "../widgets/Button";
import { Icon } from "../widgets/icons";
import { FILTER_NAMES, STATES, type Token, tokensOf, tokenText } from "./tokens";

type Props = { organizationId: string; text: string; faults: string[]; onChange: (text: string) => void };
type Facet = { field: string; values: { value: string | null; count: number }[] };
type Suggestion = { label: string; count?: number; replace: string };

/** A search with typed filters: `category:Crane state:draft boom`. Names and values are completed. */
export function FilterBox({ organizationId, text, faults, onChange }: Props) {
  const [written, setWritten] = useState(text);
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const list = useId();
  const hint = useId();
  useEffect(() => setWritten(text), [text]);
  const last = written.match(/(?:[^\s"]|"[^"]*"?)*$/)?.[0] ?? "";
  const suggestions = useSuggestions(organizationId, last, isOpen);
  const apply = (next: string) => {
    setWritten(next);
    setOpen(false);
    setChosen(-1);
    if (next.trim() !== text) onChange(next.trim());
  };
  const complete = ({ replace }: Suggestion) => {
    const next = written.slice(0, written.length - last.length) + replace;
    if (replace.endsWith(":")) {
      setWritten(next);
      setChosen(-1);
    } else apply(next);
    input.current?.focus();
  };
  const tokens = tokensOf(text);
  return (
    <div className="flex min-w-64 grow flex-col gap-1">
      <div className="relative">
        <Icon name="search" size={15} className="absolute top-2 left-2.5 text-secondary" />
        <input
          ref={input}
          data-search=""
          role="combobox"
          aria-label="Search and filter records"
          aria-expanded={isOpen && suggestions.length > 0}
          aria-controls={list}
          aria-activedescendant={chosen >= 0 ? `${list}-${chosen}` : undefined}
          aria-describedby={faults.length > 0 ? hint : undefined}
          aria-invalid={faults.length > 0 ? true : undefined}
          autoComplete="off"
          spellCheck={false}
          className="field w-full pl-8"
          placeholder="Search, or filter: category:Crane state:draft monthlyRate:5000..20000"
          value={written}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onChange={(event) => {
            setWritten(event.target.value);
            setOpen(true);
            setChosen(-1);
          }}
          onKeyDown={(event) => {
            const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (step && suggestions.length > 0) {
              event.preventDefault();
              setOpen(true);
              setChosen((chosen + step + suggestions.length) % suggestions.length);
            } else if (event.key === "Enter") {
              const suggestion = isOpen ? suggestions[chosen] : undefined;
              if (suggestion) complete(suggestion);
              else apply(written);
            } else if (event.key === "Escape") setOpen(false);
          }}
        />
        <div
          id={list}
          role="listbox"
          aria-label="Suggestions"
          hidden={!isOpen || suggestions.length === 0}
          className="absolute top-full right-0 left-0 z-30 mt-1 max-h-72 max-w-md overflow-y-auto rounded-md border border-line bg-surface py-1 shadow-lg"
        >
          {suggestions.map((suggestion, index) => (
            <div
              key={suggestion.replace}
              id={`${list}-${index}`}
              role="option"
              aria-selected={index === chosen}
              onMouseDown={(event) => {
                event.preventDefault();
                complete(suggestion);
              }}
              className={`flex cursor-pointer justify-between gap-4 px-3 py-1 ${index === chosen ? "bg-chosen" : "hover:bg-hover"}`}
            >
              <span className="truncate">{suggestion.label}</span>
              {suggestion.count !== undefined && <span className="text-secondary">{countText(suggestion.count)}</span>}
            </div>
          ))}
        </div>
      </div>
      {faults.length > 0 && (
        <p id={hint} role="alert" className="text-xs text-failed">
          {faults.join(". ")}
        </p>
      )}
      {tokens.length > 0 && (
        <Chips
          tokens={tokens}
          onRemove={(index) =>
            onChange(
              tokens
                .filter((_, other) => other !== index)
                .map((token) => token.text)
                .join(" "),
            )
          }
        />
      )}
    </div>
  );
}

function Chips({ tokens, onRemove }: { tokens: Token[]; onRemove: (index: number) => void }) {
  return (
    <ul aria-label="Filters" className="flex flex-wrap gap-1">
      {tokens.map((token, index) => (
        <li key={token.text} className="inline-flex items-center rounded-full border border-line bg-panel pl-2 text-xs">
          {token.text}
          <Button
            kind="quiet"
            className="min-h-6! px-1.5! py-0"
            aria-label={`Remove filter ${token.text}`}
            onClick={() => onRemove(index)}
          >
            <Icon name="close" size={12} />
          </Button>
        </li>
      ))}
    </ul>
  );
}

function useSuggestions(organizationId: string, last: string, isOpen: boolean): Suggestion[] {
  const api = useApi();
  const [name = "", value] = last.includes(":") ? last.split(/:(.*)/s) : [last];
  const filter = FILTER_NAMES.find((other) => other.toLowerCase() === name.toLowerCase());
  const field = FIELDS.find((other) => other.name === filter);
  const hasValues = value !== undefined && (filter === "state" || field?.type === "text" || field?.type === "choice");
  const facets = useQuery({
    queryKey: [CACHE, "/api/pfa-data/facets", organizationId, filter],
    queryFn: ({ signal }) =>
      api.send("post", "/api/pfa-data/facets", { body: { organizationId, fields: [filter ?? ""] } }, signal),
    enabled: isOpen && hasValues,
    staleTime: 60_000,
  });
  if (value === undefined) {
    const start = name.toLowerCase();
    return FILTER_NAMES.filter((other) => other.toLowerCase().startsWith(start)).map((other) => ({
      label: `${other}:`,
      replace: `${other}:`,
    }));
  }
  if (!filter) return [];
  const before = value.split(",").slice(0, -1);
  const start = (value.split(",").at(-1) ?? "").replaceAll('"', "").toLowerCase();
  const known =
    ((facets.data?.facets ?? []) as unknown as Facet[])[0]?.values ??
    (filter === "state" ? STATES.map((state) => ({ value: state, count: undefined })) : []);
  const boolean =
    field?.type === "boolean"
      ? [
          { value: "yes", count: undefined },
          { value: "no", count: undefined },
        ]
      : [];
  return [...known, ...boolean]
    .map(({ value: other, count }) => ({ label: other ?? "none", count }))
    .filter(({ label }) => label.toLowerCase().includes(start))
    .slice(0, 30)
    .map(({ label, count }) => ({
      label,
      count,
      replace: tokenText(filter, [...before.map((text) => text.replaceAll('"', "")), label]),
    }));
}
