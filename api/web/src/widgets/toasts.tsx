import type { ReactNode } from "react";
import {
  UNSTABLE_Toast as Toast,
  UNSTABLE_ToastContent as ToastContent,
  UNSTABLE_ToastQueue as ToastQueue,
  UNSTABLE_ToastRegion as ToastRegion,
} from "react-aria-components";
import { errorLines } from "../api/problem";
import { Button } from "./Button";
import { Icon, type IconName } from "./icons";

type Note = {
  tone: "done" | "failed" | "info";
  text: string;
  lines?: string[];
  action?: { label: string; run: () => void };
  link?: ReactNode;
  /** It goes by itself, though it tells of a failure. */
  brief?: boolean;
};

const queue = new ToastQueue<Note>({ maxVisibleToasts: 4 });
const SHOWN = 8000;

/** Says that something was done, with what can be done about it. */
export function tell(text: string, rest: Partial<Omit<Note, "text">> = {}): void {
  const note = { tone: "done" as const, ...rest, text };
  queue.add(note, { timeout: !note.brief && (note.action || note.tone === "failed") ? undefined : SHOWN });
}

/** Says that something failed, and why. */
export function tellError(text: string, error: unknown): void {
  tell(text, { tone: "failed", lines: errorLines(error) });
}

const ICONS: Record<Note["tone"], IconName> = { done: "synced", failed: "warning", info: "info" };
const COLOURS: Record<Note["tone"], string> = { done: "text-good", failed: "text-failed", info: "text-link" };

/** Where messages appear; they are announced. */
export function Toasts() {
  return (
    <ToastRegion
      queue={queue}
      data-pfa-sync=""
      className="fixed right-3 bottom-16 z-50 flex w-96 max-w-[calc(100vw-1.5rem)] flex-col gap-2 bg-transparent! md:bottom-3"
    >
      {({ toast }) => (
        <Toast
          toast={toast}
          className="flex items-start gap-2 rounded-md border border-line bg-surface p-3 text-content shadow-xl"
        >
          <Icon name={ICONS[toast.content.tone]} className={`mt-0.5 shrink-0 ${COLOURS[toast.content.tone]}`} />
          <ToastContent className="flex min-w-0 grow flex-col gap-0.5">
            <span className="font-medium break-words">{toast.content.text}</span>
            {toast.content.lines?.slice(0, 5).map((line) => (
              <span key={line} className="break-words">
                {line}
              </span>
            ))}
            {toast.content.link}
          </ToastContent>
          {toast.content.action && (
            <Button
              onClick={() => {
                toast.content.action?.run();
                queue.close(toast.key);
              }}
            >
              {toast.content.action.label}
            </Button>
          )}
          <Button kind="quiet" aria-label="Close message" onClick={() => queue.close(toast.key)}>
            <Icon name="close" size={14} />
          </Button>
        </Toast>
      )}
    </ToastRegion>
  );
}
