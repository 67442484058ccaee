import { type SelectHTMLAttributes, useId } from "react";

type Props = Omit<SelectHTMLAttributes<HTMLSelectElement>, "onChange"> & {
  label: string;
  /** The label is read out and not shown. */
  bare?: boolean;
  options: [value: string, label: string][];
  onChange: (value: string) => void;
};

/** One of several values, as the browser's own list. */
export function Choice({ label, bare, options, onChange, className = "", ...rest }: Props) {
  const id = useId();
  const list = (
    <select
      id={id}
      {...rest}
      aria-label={bare ? label : undefined}
      className={`field ${className}`}
      onChange={(event) => onChange(event.target.value)}
    >
      {options.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
  if (bare) return list;
  return (
    <span className="flex items-center gap-2">
      <label htmlFor={id} className="text-secondary">
        {label}
      </label>
      {list}
    </span>
  );
}
