import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  Outlet,
  RouterProvider,
} from "@tanstack/react-router";
import { render, screen } from "@testing-library/react";
import { type ReactNode, useState } from "react";
import { vi } from "vitest";
import { Api } from "./api/client";
import { ApiProvider } from "./api/context";
import type { Me, RecordRow } from "./api/types";
import { MeProvider } from "./frame/me";
import { parseView, writeView } from "./frame/view";

/** What the service of a test answers, by method and path. */
export type Answers = Record<string, (body: never) => unknown>;
type Asked = { path: string; body: unknown };

const PERMISSIONS = ["perm_Read", "perm_SaveDraft", "perm_Sync", "perm_EditForecast", "perm_ViewFinancials"];
export const ME = {
  userId: "usr_me",
  userName: "Ada",
  role: "user",
  readOnly: false,
  organizations: [
    { organizationId: "org_RIO", code: "RIO", permissions: PERMISSIONS, maySend: true, paused: false, held: false },
  ],
  instance: { name: "Tests", colour: "grey", production: false },
} as unknown as Me;

/** A record as the service lists it. */
export const row = (pfaId: string, rest: Partial<RecordRow> = {}): RecordRow => ({
  pfaId,
  version: 1,
  data: { model: `Model ${pfaId}` },
  states: ["synced"],
  changedFields: [],
  authors: [],
  ...rest,
});

/** A service that answers as a test says, and the requests that it got. */
export function serviceOf(answers: Answers): { api: Api; asked: (path: string) => unknown[] } {
  const requests: Asked[] = [];
  vi.stubGlobal("fetch", async (address: string, init: RequestInit = {}) => {
    const path = `${init.method ?? "GET"} ${address.split("?")[0]}`;
    const body = init.body
      ? JSON.parse(String(init.body))
      : Object.fromEntries(new URLSearchParams(address.split("?")[1]));
    requests.push({ path, body });
    const answer = await answers[path]?.(body as never);
    init.signal?.throwIfAborted();
    if (answer instanceof Response) return answer;
    return answer === undefined ? Response.json({}, { status: 404 }) : Response.json(answer);
  });
  const api = new Api({ baseUrl: "", getToken: () => "token" });
  return { api, asked: (path) => requests.filter((request) => request.path === path).map(({ body }) => body) };
}

/** What every part of the dashboard stands in. */
export function Surroundings({ api, me = ME, children }: { api: Api; me?: Me; children: ReactNode }) {
  const [cache] = useState(() => new QueryClient({ defaultOptions: { queries: { retry: false } } }));
  return (
    <QueryClientProvider client={cache}>
      <ApiProvider value={api}>
        <MeProvider value={me}>{children}</MeProvider>
      </ApiProvider>
    </QueryClientProvider>
  );
}

/** Shows a part of the dashboard at an address. */
export async function show(part: ReactNode, { api, at = "/", me }: { api: Api; at?: string; me?: Me }) {
  const root = createRootRoute({ component: () => <Outlet /> });
  const index = createRoute({ getParentRoute: () => root, path: "/", component: () => <main>{part}</main> });
  const router = createRouter({
    routeTree: root.addChildren([index]),
    history: createMemoryHistory({ initialEntries: [at] }),
    parseSearch: parseView,
    stringifySearch: writeView,
  });
  render(
    <Surroundings api={api} me={me}>
      <RouterProvider router={router as never} />
    </Surroundings>,
  );
  await screen.findByRole("main", { hidden: true });
  return router;
}
