import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"];

/** A request that the service refused, or that did not reach it (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
    readonly retryAfter?: number,
  ) {
    super(problem.detail || problem.title || "the service does not answer");
  }

  get code(): string {
    return this.problem.code ?? "unreachable";
  }

  /** Whether the same request may succeed in a moment. */
  get isTemporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

/** What to show of an error: what the service says, and what is wrong with each field. */
export function errorLines(error: unknown): string[] {
  if (!(error instanceof ApiError)) return [error instanceof Error ? error.message : String(error)];
  const faults = error.problem.errors ?? [];
  return [
    error.message,
    ...faults.map((fault) => [fault.pfaId, fault.field, fault.message].filter(Boolean).join(": ")),
  ];
}
