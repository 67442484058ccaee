import { useSyncExternalStore } from "react";

export type State =
  | { kind: "connecting" }
  | { kind: "live" }
  /** Nothing was heard for some seconds; since is when it was last. */
  | { kind: "behind"; since: number }
  | { kind: "lost"; since: number };

/** The service sends something every 15 s. */
const OVERDUE = 20_000;

/** What the page knows of its event stream: whether it hears the service, and since when it does not. */
export class ConnectionState {
  private state: State = { kind: "connecting" };
  private heardAt = Date.now();
  private readonly listeners = new Set<() => void>();

  constructor(private readonly now: () => number = Date.now) {
    this.heardAt = now();
  }

  heard(): void {
    this.heardAt = this.now();
    this.become({ kind: "live" });
  }

  lost(): void {
    if (this.state.kind !== "lost") this.become({ kind: "lost", since: this.heardAt });
  }

  /** Looks at the clock. */
  check(): void {
    if (this.state.kind === "live" && this.now() - this.heardAt > OVERDUE) {
      this.become({ kind: "behind", since: this.heardAt });
    }
  }

  readonly current = (): State => this.state;

  readonly listen = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private become(state: State): void {
    if (state.kind === this.state.kind && state.kind === "live") return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

/** The state of a connection, as components read it. */
export function useConnection(connection: ConnectionState): State {
  return useSyncExternalStore(connection.listen, connection.current);
}
