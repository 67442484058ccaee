import { afterEach, describe, expect, it, vi } from "vitest";
import { Api, address } from "./client";
import { ApiError, errorLines } from "./problem";

afterEach(() => vi.unstubAllGlobals());

const api = (onUnauthenticated?: () => void) => new Api({ baseUrl: "", getToken: () => "token", onUnauthenticated });
const json = (body: unknown, init: ResponseInit = {}) => new Response(JSON.stringify(body), init);

describe("A request", () => {
  it("has its parameters in path and query, without those that are not given", () => {
    expect(address("/api/pems/jobs/{jobId}/items", { jobId: "7/8" }, { limit: 5, after: undefined, outcome: "" })).toBe(
      "/api/pems/jobs/7%2F8/items?limit=5",
    );
  });

  it("carries the token of the user", async () => {
    const fetch = vi.fn().mockResolvedValue(json({ userId: "u" }));
    vi.stubGlobal("fetch", fetch);
    await api().send("get", "/api/pems/me");
    expect(fetch.mock.calls[0]?.[1].headers.Authorization).toBe("Bearer token");
  });

  it("waits while four others are under way", async () => {
    const answers: ((response: Response) => void)[] = [];
    vi.stubGlobal(
      "fetch",
      vi.fn(() => new Promise<Response>((resolve) => answers.push(resolve))),
    );
    const client = api();
    const all = Array.from({ length: 6 }, () => client.send("get", "/api/pems/me"));
    await vi.waitFor(() => expect(answers).toHaveLength(4));
    for (const answer of answers.splice(0)) answer(json({}));
    await vi.waitFor(() => expect(answers).toHaveLength(2));
    for (const answer of answers) answer(json({}));
    await Promise.all(all);
  });

  it("is repeated when the service asks to come later", async () => {
    vi.useFakeTimers();
    const fetch = vi
      .fn()
      .mockResolvedValueOnce(json({ code: "too_many_requests" }, { status: 429, headers: { "Retry-After": "1" } }))
      .mockResolvedValueOnce(json({ role: "user" }));
    vi.stubGlobal("fetch", fetch);
    const answer = api().send("get", "/api/pems/me");
    await vi.advanceTimersByTimeAsync(1000);
    expect(await answer).toEqual({ role: "user" });
    vi.useRealTimers();
  });

  it("that is refused says what the service says, and what is wrong with each field", async () => {
    const problem = {
      code: "invalid",
      detail: "the values are not valid",
      errors: [{ code: "X", field: "model", message: "is too long", pfaId: "4711" }],
    };
    vi.stubGlobal("fetch", vi.fn().mockResolvedValue(json(problem, { status: 422 })));
    const error = await api()
      .send("get", "/api/pems/me")
      .catch((error) => error);
    expect(error).toBeInstanceOf(ApiError);
    expect(errorLines(error)).toEqual(["the values are not valid", "4711: model: is too long"]);
  });

  it("whose token is refused ends the session, once the service has said so", async () => {
    const ended = vi.fn();
    vi.stubGlobal("fetch", vi.fn().mockResolvedValue(json({ code: "unauthenticated" }, { status: 401 })));
    await expect(api(ended).send("get", "/api/pems/me")).rejects.toBeInstanceOf(ApiError);
    expect(ended).toHaveBeenCalledOnce();
  });

  it("that reaches no service is an error that says that nothing was changed", async () => {
    vi.stubGlobal("fetch", vi.fn().mockRejectedValue(new TypeError("network")));
    const error = await api()
      .send("get", "/api/pems/me")
      .catch((error) => error);
    expect(error.isTemporary).toBe(true);
    expect(error.message).toMatch(/Nothing was changed/);
  });
});
