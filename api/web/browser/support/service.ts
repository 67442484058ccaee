import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

export type User = "usr_editor" | "usr_second" | "usr_viewer" | "usr_admin";

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests by "make test", or by tests/e2e/browser.rs`);
  return value;
}

/** A token of a user, as the application signs it. */
export function tokenOf(user: User, seconds = 3600): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ userId: user, exp })}`;
  return `${signed}.${createHmac("sha256", variable("PFA_API_SECRET")).update(signed).digest("base64url")}`;
}

/** Longest time in which a service finishes its requests. */
const MOST_TO_STOP = 15_000;

/** pfa-api as a process of the tests. */
export class Service {
  private constructor(
    private readonly child: ChildProcess,
    readonly address: string,
  ) {}

  /** Starts it, at any free port unless one is given. */
  static async start(port = 0, settings: string[] = []): Promise<Service> {
    const child = spawn(
      variable("PFA_API"),
      ["serve", "--listen", `127.0.0.1:${port}`, "--rate-limit", "500", ...settings],
      {
        env: {
          ...process.env,
          DATABASE_URL: variable("PFA_API_DATABASE_URL"),
          PFA_API_JWT_SECRET: variable("PFA_API_SECRET"),
        },
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      const address = line.match(/^listening on (.*)$/)?.[1];
      if (address) return new Service(child, address);
    }
    throw new Error("pfa-api ended before it listened");
  }

  get port(): number {
    return Number(new URL(this.address).port);
  }

  /** Stops it. A service that does not end by itself is killed, so that no test waits for it. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), MOST_TO_STOP);
    await ended;
    clearTimeout(timer);
  }

  /** A request as a user. */
  async call<T>(user: User, method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.address + path, {
      method,
      headers: {
        Authorization: `Bearer ${tokenOf(user)}`,
        ...(body !== undefined && { "Content-Type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** Saves drafts and commits them, as a user does by other means. */
  async commit(
    user: User,
    drafts: { pfaId: string; delta: object }[],
  ): Promise<{ jobId: string; verdicts: { verdict: string }[] }> {
    await this.call(user, "POST", "/api/pfa-data/save-drafts", { organizationId: "RIO", drafts });
    const pfaIds = drafts.map(({ pfaId }) => pfaId);
    const { verdicts } = await this.call<{ verdicts: { jobId: string; verdict: string }[] }>(
      user,
      "POST",
      "/api/pfa-data/commit-drafts",
      {
        organizationId: "RIO",
        pfaIds,
      },
    );
    return { jobId: verdicts[0]?.jobId ?? "", verdicts };
  }

  /** Waits until a read fulfils a condition. */
  async until<T>(path: string, condition: (answer: T) => boolean, user: User = "usr_admin"): Promise<T> {
    for (let tries = 0; tries < 600; tries++) {
      const answer = await this.call<T>(user, "GET", path);
      if (condition(answer)) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${path} did not become as expected`);
  }

  /** Ends what waits for a person about records: conflicts are resolved as PEMS has it, failures are discarded. */
  async tidy(...pfaIds: string[]): Promise<void> {
    for (const pfaId of pfaIds) {
      const { conflicts } = await this.call<{ conflicts: { conflictId: string }[] }>(
        "usr_admin",
        "GET",
        `/api/pems/conflicts?pfaId=${pfaId}`,
      );
      for (const { conflictId } of conflicts) {
        await this.call("usr_admin", "POST", `/api/pems/conflicts/${conflictId}/resolve`, { resolution: "use_pems" });
      }
      await this.call("usr_admin", "POST", "/api/pems/dead-letters/discard", {
        filter: { organizationId: "RIO", pfaId },
        reason: "The test is over",
      });
    }
  }

  /** Waits until a job has ended, with all of its changes. */
  untilEnded(jobId: string): Promise<{ state: string; completed: number }> {
    return this.until<{ state: string; completed: number; pending: number; processing: number }>(
      `/api/pems/jobs/${jobId}`,
      ({ state, pending, processing }) => state !== "running" && pending + processing === 0,
    );
  }
}
