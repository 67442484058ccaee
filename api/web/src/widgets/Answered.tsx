import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { errorLines } from "../api/problem";
import { Button } from "./Button";
import { clockText } from "./clock";
import { Icon } from "./icons";

/** What a failed request says, and a way to try again. Lines are text, whatever they hold. */
export function Failed({
  error,
  onRetry,
  title = "This could not be loaded",
}: {
  error: unknown;
  onRetry?: () => void;
  title?: string;
}) {
  return (
    <div
      role="alert"
      className="m-3 flex flex-col items-start gap-2 rounded-md border border-failed bg-failed-back p-3"
    >
      <p className="flex items-center gap-2 font-medium text-failed">
        <Icon name="warning" /> {title}
      </p>
      {errorLines(error).map((line) => (
        <p key={line} className="break-words">
          {line}
        </p>
      ))}
      {onRetry && <Button onClick={onRetry}>Try again</Button>}
    </div>
  );
}

/** A list that has nothing, with what that means. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-1 px-4 py-12 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-lg text-secondary">{children}</div>}
    </div>
  );
}

/** Rows that hold the place of those to come. */
export function Skeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all the same
        <div key={row} className="flex h-9 items-center gap-6 border-b border-line px-3">
          <span className="h-2.5 w-1/6 rounded bg-hover" />
          <span className="h-2.5 w-1/3 rounded bg-hover" />
          <span className="h-2.5 w-1/5 rounded bg-hover" />
        </div>
      ))}
    </div>
  );
}

/** The answer of a read: its skeleton, its error, or what it is. Old numbers stay on the screen when a refresh fails. */
export function Answered<T>({
  query,
  rows,
  children,
}: {
  query: UseQueryResult<T>;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data === undefined) {
    return query.error ? <Failed error={query.error} onRetry={() => void query.refetch()} /> : <Skeleton rows={rows} />;
  }
  return (
    <>
      {query.error && (
        <p role="status" className="flex flex-wrap items-center gap-2 bg-attention-back px-3 py-1.5 text-attention">
          <Icon name="warning" /> Not refreshed: {query.error.message} Shown as of {clockText(query.dataUpdatedAt)}.
          <Button kind="quiet" onClick={() => void query.refetch()}>
            Try again
          </Button>
        </p>
      )}
      {children(query.data)}
    </>
  );
}
