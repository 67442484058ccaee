import { useQuery } from "@tanstack/react-query";
import { cleanup, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it, vi } from "vitest";
import { reading, useApi } from "../api/context";
import type { JobProgress, Me } from "../api/types";
import { ME, serviceOf, show } from "../harness";
import { JobActions } from "./JobActions";
import { Rollback } from "./Rollback";

afterEach(() => vi.unstubAllGlobals());

const JOB = {
  jobId: "12",
  kind: "requeue",
  organizationId: "org_RIO",
  userId: ME.userId,
  inverses: [],
  items: { waiting: 2, done: 1, skipped: 0, failed: 0 },
};

function Actions() {
  const { data } = useQuery(reading(useApi(), "/api/pems/jobs/{jobId}", { path: { jobId: "12" } }));
  return data ? <JobActions job={data as JobProgress} /> : null;
}

it("a job is stopped and continued, and what is shown of it follows at once", async () => {
  let state = "running";
  const to = (next: string) => () => {
    state = next;
    return { state };
  };
  const { api } = serviceOf({
    "GET /api/pems/jobs/12": () => ({ ...JOB, state }),
    "POST /api/pems/jobs/12/stop": to("stopped"),
    "POST /api/pems/jobs/12/continue": to("running"),
  });
  await show(<Actions />, { api });
  await userEvent.click(await screen.findByRole("button", { name: "Stop" }));
  await userEvent.click(await screen.findByRole("button", { name: "Continue" }));
  expect(await screen.findByRole("button", { name: "Stop" })).toBeTruthy();
});

it.each([
  ["edit", "perm_SaveDraft", ME.userId],
  ["requeue", "perm_Sync", ME.userId],
  ["withdraw", "perm_Read", ME.userId],
  ["edit", "perm_ManageSettings", "usr_other"],
])("a job of kind %s is stopped with %s", async (kind, permission, userId) => {
  const me = (permissions: string[]) => ({ ...ME, organizations: [{ ...ME.organizations[0], permissions }] }) as Me;
  const { api } = serviceOf({});
  const job = { ...JOB, kind, userId, state: "running" } as unknown as JobProgress;
  const isLocked = async (permissions: string[]) => {
    await show(<JobActions job={job} />, { api, me: me(permissions) });
    const locked = screen.getByRole("button", { name: "Stop" }).getAttribute("aria-disabled");
    cleanup();
    return locked === "true";
  };
  const all = ["perm_Read", "perm_SaveDraft", "perm_Sync", "perm_ManageSettings"];
  expect(await isLocked([permission])).toBe(false);
  expect(await isLocked(all.filter((other) => other !== permission))).toBe(true);
});

describe("A rollback", () => {
  it("of records that have changed since its preview is not made, and previewed anew", async () => {
    const PREVIEW = "GET /api/pems/jobs/12/rollback";
    const admin = { ...ME, organizations: [{ ...ME.organizations[0], permissions: ["perm_ManageSettings"] }] } as Me;
    const previews = [
      { restores: 3, withdraws: 0, blocked: 0, byReason: {}, digest: "d1" },
      { restores: 2, withdraws: 0, blocked: 1, byReason: { CHANGED_SINCE: 1 }, digest: "d2" },
    ];
    const { api, asked } = serviceOf({
      "GET /api/pems/jobs/12": () => JOB,
      "GET /api/pems/jobs/12/rollback/records": () => ({ records: [] }),
      [PREVIEW]: () => previews.shift(),
      "POST /api/pems/jobs/12/rollback": () => Response.json({ code: "moved_on" }, { status: 409 }),
    });
    const done = vi.fn();
    await show(<Rollback jobId="12" onCancel={() => undefined} onDone={done} />, { api, me: admin });
    await userEvent.click(await screen.findByRole("button", { name: "Roll back 3…" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Roll back job 12" });
    await userEvent.type(within(dialog).getByRole("textbox", { name: /^Reason/ }), "The wrong season");
    await userEvent.click(within(dialog).getByRole("button", { name: "Roll back 3" }));
    expect(await screen.findByRole("button", { name: "Roll back 2, leave out 1…" })).toBeTruthy();
    await waitFor(() => expect(asked(PREVIEW)).toHaveLength(2));
    expect(done).not.toHaveBeenCalled();
  });
});
