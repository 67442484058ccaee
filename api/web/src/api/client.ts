import { parseLossless } from "./lossless";
import { ApiError, type Problem } from "./problem";
import type { paths } from "./schema";

export type Method = "get" | "post" | "put" | "delete";

/** The paths of the description that have this method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends undefined ? never : P;
}[keyof paths];

type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
type Part<O, K extends string> = O extends { parameters: infer Q } ? (K extends keyof Q ? Q[K] : never) : never;
type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;

/** What a request of an operation takes. */
export type Input<P extends keyof paths, M extends Method> = {
  path?: Part<Operation<P, M>, "path">;
  query?: Part<Operation<P, M>, "query">;
  header?: Part<Operation<P, M>, "header">;
  body?: Body<Operation<P, M>>;
};

/** What an operation answers. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: { 200: { content: { "application/json": infer T } } } } ? T : undefined;

export type Connection = {
  /** Where pfa-api is; empty: where the page came from. */
  baseUrl: string;
  /** The token of the user, asked for at each request. */
  getToken: () => string | null | Promise<string | null>;
  /** The service does not accept the token. */
  onUnauthenticated?: () => void;
};

/** Requests at once: pfa-api executes four of a user, and more would wait there. */
const MAX_REQUESTS = 4;
const MAX_TRIES = 4;

/** The service as a page uses it. */
export class Api {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(readonly connection: Connection) {}

  /** Sends a request and returns its answer; throws an ApiError. */
  async send<M extends Method, P extends PathOf<M> & string>(
    method: M,
    path: P,
    input: Input<P, M> = {},
    signal?: AbortSignal,
  ): Promise<Answer<P, M>> {
    return (await this.sendTagged(method, path, input, signal)).data;
  }

  /** The same, with the ETag of the answer. */
  async sendTagged<M extends Method, P extends PathOf<M> & string>(
    method: M,
    path: P,
    input: Input<P, M> = {},
    signal?: AbortSignal,
  ): Promise<{ data: Answer<P, M>; tag: string | null }> {
    const response = await this.fetch(address(path, input.path, input.query), {
      method: method.toUpperCase(),
      headers: {
        ...(input.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(input.header as Record<string, string> | undefined),
      },
      body: input.body === undefined ? undefined : JSON.stringify(input.body),
      signal,
    });
    const text = await response.text();
    return { data: (text ? parseLossless(text) : undefined) as Answer<P, M>, tag: response.headers.get("ETag") };
  }

  /** Sends any request as the user. A read that comes too soon is repeated after the time that the service asks for. */
  async fetch(path: string, init: RequestInit): Promise<Response> {
    await this.place();
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.attempt(path, init);
        } catch (error) {
          const repeatable = error instanceof ApiError && error.status === 429 && attempt < MAX_TRIES;
          if (!repeatable) throw error;
          await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? 1) * 1000));
        }
      }
    } finally {
      this.running--;
      this.waiting.shift()?.();
    }
  }

  private async attempt(path: string, init: RequestInit): Promise<Response> {
    const token = await this.connection.getToken();
    const headers = { ...(init.headers as Record<string, string>), ...(token && { Authorization: `Bearer ${token}` }) };
    let response: Response;
    try {
      response = await fetch(this.connection.baseUrl + path, { ...init, headers });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError(0, {
        title: "The service does not answer",
        detail: "The service does not answer. Nothing was changed by this page; try again.",
      });
    }
    if (response.ok) return response;
    if (response.status === 401) this.connection.onUnauthenticated?.();
    const problem = (await response.json().catch(() => ({ title: response.statusText }))) as Partial<Problem>;
    const wait = Number(response.headers.get("Retry-After"));
    throw new ApiError(response.status, problem, Number.isFinite(wait) && wait > 0 ? wait : undefined);
  }

  private async place(): Promise<void> {
    if (this.running >= MAX_REQUESTS) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running++;
  }
}

/** The address of an operation. Values that are null or undefined are left out of the query. */
export function address(path: string, parameters: object = {}, query: object = {}): string {
  const names = parameters as Record<string, unknown>;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(names[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.append(name, String(value));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** A key for a request that must be carried out once. */
export function idempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
