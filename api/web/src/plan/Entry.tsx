import { type KeyboardEvent, type Ref, useState } from "react";
import type { Value } from "../api/types";
import { amountText, readAmount } from "./amount";
import { dayOf, momentOf } from "./day";
import type { Field } from "./fields";

type Props = {
  field: Field;
  value: Value;
  /** Gets the value at each change; undefined: what is written can't be read, and why. */
  onChange: (value: Value | undefined, fault?: string) => void;
  onKeyDown?: (event: KeyboardEvent) => void;
  onBlur?: () => void;
  label?: string;
  className?: string;
  autoFocus?: boolean;
  ref?: Ref<HTMLInputElement & HTMLSelectElement>;
};

/** A field to write a value into, by the type of the value: a text, an amount, a calendar day, or one of several. */
export function Entry({ field, value, onChange, label, className = "", ref, ...rest }: Props) {
  const [text, setText] = useState(() => startText(field, value));
  const [fault, setFault] = useState<string>();
  const shared = {
    ...rest,
    ref,
    "aria-label": label ?? field.label,
    className: `field w-full ${className}`,
    "aria-invalid": fault ? true : undefined,
  };
  if (field.type === "choice" || field.type === "boolean") {
    const options = field.type === "boolean" ? ["true", "false"] : (field.choices ?? []);
    const foreign = text && !options.includes(text) ? [text] : [];
    return (
      <select
        {...shared}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          onChange(field.type === "boolean" ? event.target.value === "true" : event.target.value || null);
        }}
      >
        {field.type === "choice" && <option value="">—</option>}
        {[...foreign, ...options].map((option) => (
          <option key={option} value={option}>
            {field.type === "boolean" ? (option === "true" ? "Yes" : "No") : option}
          </option>
        ))}
      </select>
    );
  }
  const read = (written: string) => {
    setText(written);
    const amount = field.type === "amount" ? readAmount(written) : undefined;
    const wrong =
      field.type === "amount" && amount === undefined ? "Write an amount with at most two decimals" : undefined;
    setFault(wrong);
    if (wrong) onChange(undefined, wrong);
    else
      onChange(
        field.type === "amount"
          ? amount
          : field.type === "day"
            ? written
              ? momentOf(written)
              : null
            : written || null,
      );
  };
  return (
    <input
      {...shared}
      type={field.type === "day" ? "date" : "text"}
      inputMode={field.type === "amount" ? "decimal" : undefined}
      autoComplete="off"
      value={text}
      title={fault}
      onChange={(event) => read(event.target.value)}
    />
  );
}

function startText(field: Field, value: Value): string {
  if (value === null || value === undefined) return field.type === "boolean" ? "false" : "";
  if (field.type === "day") return dayOf(value) ?? "";
  if (field.type === "amount" && typeof value === "number") return amountText(value);
  return String(value);
}
