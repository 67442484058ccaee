import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";

type Props = {
  title: string;
  /** The verb and the number on the button, such as "Discard 12". */
  action: string;
  children: ReactNode;
  /** A reason is asked for, of at least so many characters. */
  reasonLength?: number;
  /** What must be typed first, such as the name of a production installation. */
  typed?: string;
  blocked?: string;
  danger?: boolean;
  wide?: boolean;
  pending?: boolean;
  onConfirm: (reason: string) => void;
  onClose: () => void;
};

/** Asks before something is done that is not undone easily. The focus is on Cancel. */
export function Confirm({
  title,
  action,
  children,
  reasonLength,
  typed,
  blocked,
  danger,
  wide,
  pending,
  onConfirm,
  onClose,
}: Props) {
  const [reason, setReason] = useState("");
  const [name, setName] = useState("");
  const hint = useId();
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => cancel.current?.focus(), []);
  const missing =
    (pending && "It is being done") ||
    blocked ||
    (reasonLength && reason.trim().length < reasonLength && `Give a reason of at least ${reasonLength} characters`) ||
    (typed && name !== typed && `Type ${typed} first`) ||
    undefined;
  return (
    <Dialog
      title={title}
      onClose={onClose}
      wide={wide}
      alert
      actions={
        <>
          <Button onClick={onClose} ref={cancel}>
            Cancel
          </Button>
          <Button
            kind={danger ? "danger" : "primary"}
            reason={missing || undefined}
            onClick={() => onConfirm(reason.trim())}
          >
            {action}
          </Button>
        </>
      }
    >
      {children}
      {reasonLength !== undefined && (
        <label className="flex flex-col gap-1">
          <span className="font-medium">Reason</span>
          <textarea
            className="field h-16"
            value={reason}
            maxLength={1000}
            aria-describedby={hint}
            onChange={(event) => setReason(event.target.value)}
          />
          <span id={hint} className="text-xs text-secondary">
            {reasonLength > 1 ? `At least ${reasonLength} characters. ` : ""}It stands in the log.
          </span>
        </label>
      )}
      {typed && (
        <label className="flex flex-col gap-1">
          <span>
            Type <strong>{typed}</strong> to go on: this can reach what people work with.
          </span>
          <input className="field" value={name} autoComplete="off" onChange={(event) => setName(event.target.value)} />
        </label>
      )}
    </Dialog>
  );
}
