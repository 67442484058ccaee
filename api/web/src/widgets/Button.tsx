import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import { Tip } from "./Tip";

type Kind = "primary" | "plain" | "quiet" | "text" | "danger";

const KINDS: Record<Kind, string> = {
  primary: "bg-primary text-on-primary border-primary hover:brightness-110 font-medium",
  plain: "bg-surface border-control hover:bg-hover",
  quiet: "border-transparent hover:bg-hover",
  text: "border-transparent text-link hover:bg-hover hover:underline",
  danger: "bg-surface border-failed text-failed hover:bg-failed-back font-medium",
};

type Props = ButtonHTMLAttributes<HTMLButtonElement> & {
  kind?: Kind;
  /** Why it can't be pressed now; shown as its tooltip. Without a reason, it can be pressed. */
  reason?: string;
  /** What its tooltip says otherwise. */
  tip?: ReactNode;
  /** The key that presses it, shown on it. */
  hint?: string;
  ref?: Ref<HTMLButtonElement>;
};

/** A button. One that can't be pressed keeps its place in the order of focus, so that its reason can be read. */
export function Button({ kind = "plain", reason, tip, hint, className = "", children, onClick, ...rest }: Props) {
  const button = (
    <button
      type="button"
      {...rest}
      aria-disabled={reason ? true : undefined}
      onClick={(event) => {
        if (reason) event.preventDefault();
        else onClick?.(event);
      }}
      className={`inline-flex min-h-8 cursor-pointer items-center justify-center gap-1.5 rounded-md border px-2.5 whitespace-nowrap aria-disabled:cursor-not-allowed aria-disabled:border-line aria-disabled:bg-panel aria-disabled:font-normal aria-disabled:text-secondary ${KINDS[kind]} ${className}`}
    >
      {children}
      {hint && (
        <span className="key" aria-hidden="true">
          {hint}
        </span>
      )}
    </button>
  );
  return <Tip text={reason ?? tip}>{button}</Tip>;
}
