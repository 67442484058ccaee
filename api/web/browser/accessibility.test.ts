import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { api, expectAccessible, expectNoSidewaysScroll, go, open, untilLive, withBrowser } from "./support/pages";
import { editInPems, fault } from "./support/pems";
import type { User } from "./support/service";

withBrowser();

type Screen = { name: string; path: () => string; shown: (page: Page) => Promise<unknown>; user?: User };

let jobId = "";
let conflictId = "";

beforeAll(async () => {
  ({ jobId } = await api().commit("usr_editor", [{ pfaId: "90", delta: { model: "LTM 1400" } }]));
  await api().untilEnded(jobId);
  await editInPems("91", { model: "PEMS' model" });
  await api().commit("usr_editor", [{ pfaId: "91", delta: { model: "Our model" } }]);
  const list = await api().until<{ conflicts: { conflictId: string }[] }>(
    "/api/pems/conflicts?pfaId=91",
    ({ conflicts }) => conflicts.length > 0,
  );
  conflictId = list.conflicts[0]?.conflictId ?? "";
  await fault("put", { refuse: [422, "INVALID", "the model is not known"] });
  await api().untilEnded((await api().commit("usr_editor", [{ pfaId: "92", delta: { model: "?" } }])).jobId);
  await api().call("usr_editor", "POST", "/api/pfa-data/save-drafts", {
    organizationId: "RIO",
    drafts: [
      { pfaId: "93", delta: { model: "LTM 1500" } },
      { pfaId: "94", delta: { forecastEnd: "2020-01-01T00:00:00.000Z" } },
    ],
  });
});

// Other files count what waits.
afterAll(async () => {
  await api().tidy("91", "92");
  await api().call("usr_editor", "POST", "/api/pfa-data/discard-drafts", { organizationId: "RIO" });
});

const heading = (name: string | RegExp) => (page: Page) => page.getByRole("heading", { level: 1, name }).waitFor();

const SCREENS: Screen[] = [
  { name: "overview", path: () => "/", shown: async (page) => page.getByRole("region", { name: "Health" }).waitFor() },
  {
    name: "records with drafts",
    path: () => "/records?org=RIO",
    shown: (page) => page.getByRole("toolbar", { name: "Drafts" }).waitFor(),
  },
  {
    name: "records without a match",
    path: () => "/records?org=RIO&q=nothingofthekind",
    shown: (page) => page.getByText("No record matches").waitFor(),
  },
  {
    name: "records with a faulty filter",
    path: () => "/records?org=RIO&q=monthlyRate:many",
    shown: (page) => page.getByText("many is no amount").waitFor(),
  },
  {
    name: "record",
    path: () => "/records/91?org=RIO",
    shown: (page) => page.getByText("Resolve its conflict").waitFor(),
  },
  {
    name: "record that does not exist",
    path: () => "/records/nothing?org=RIO",
    shown: (page) => page.getByText("This could not be loaded").waitFor(),
  },
  {
    name: "conflicts",
    path: () => "/conflicts?org=RIO",
    shown: (page) => page.getByRole("link", { name: "91", exact: true }).waitFor(),
  },
  {
    name: "no conflicts",
    path: () => "/conflicts?org=HARBOUR",
    shown: (page) => page.getByText("No open conflicts").waitFor(),
  },
  { name: "resolved conflicts", path: () => "/conflicts?show=resolved", shown: heading("Conflicts") },
  {
    name: "resolver",
    path: () => `/conflicts/${conflictId}`,
    shown: (page) => page.getByRole("radiogroup", { name: "Model" }).waitFor(),
  },
  {
    name: "history",
    path: () => "/history",
    shown: (page) => page.getByRole("link", { name: jobId, exact: true }).waitFor(),
  },
  {
    name: "batches",
    path: () => "/history?show=batches",
    shown: (page) => page.getByRole("columnheader", { name: "Batch" }).waitFor(),
  },
  { name: "job", path: () => `/history/${jobId}`, shown: (page) => page.getByRole("progressbar").waitFor() },
  {
    name: "rollback",
    path: () => `/history/${jobId}/rollback`,
    shown: (page) => page.getByRole("button", { name: /^Roll back/ }).waitFor(),
    user: "usr_admin",
  },
  {
    name: "failures",
    path: () => "/failures?org=RIO",
    shown: (page) => page.getByText("the model is not known").first().waitFor(),
    user: "usr_admin",
  },
  {
    name: "audit log",
    path: () => "/audit?org=RIO",
    shown: (page) => page.getByRole("cell", { name: "Synced" }).first().waitFor(),
  },
  {
    name: "organizations",
    path: () => "/administration",
    shown: (page) => page.getByRole("region", { name: "What you may do" }).waitFor(),
  },
  {
    name: "settings",
    path: () => "/administration?tab=settings",
    shown: (page) => page.getByText("auto_resolution").waitFor(),
    user: "usr_admin",
  },
  {
    name: "relays",
    path: () => "/administration?tab=relays",
    shown: (page) => page.getByRole("region", { name: "Relays" }).waitFor(),
  },
  {
    name: "PEMS",
    path: () => "/administration?tab=systems",
    shown: (page) => page.getByRole("region", { name: "PEMS" }).waitFor(),
    user: "usr_admin",
  },
  {
    name: "credentials",
    path: () => "/administration?tab=credentials",
    shown: (page) => page.getByText("No stored credentials").waitFor(),
  },
  { name: "alerts", path: () => "/alerts", shown: heading("Alerts") },
  {
    name: "alert rules",
    path: () => "/alerts?tab=rules",
    shown: (page) => page.getByRole("region", { name: "Alert rules" }).waitFor(),
    user: "usr_admin",
  },
  {
    name: "alert channels",
    path: () => "/alerts?tab=channels",
    shown: (page) => page.getByText("Alerts are sent to no channel").waitFor(),
    user: "usr_admin",
  },
];

describe("Every page", () => {
  it.each(["light", "dark"] as const)(
    "keeps the rules of WCAG 2.1 AA, %s",
    async (theme) => {
      const page = await open("/", { theme });
      await untilLive(page);
      for (const { path, shown, user } of SCREENS) {
        await go(page, path(), user);
        await shown(page);
        // Structure is the same in both themes.
        await expectAccessible(page, theme === "light" ? "all" : "colours");
      }
    },
    180_000,
  );

  it("fits a window of 320 px, and keeps the rules there", async () => {
    const page = await open("/", { width: 320, height: 640 });
    await untilLive(page);
    for (const { path, shown, user } of SCREENS) {
      await go(page, path(), user);
      await shown(page);
      await expectNoSidewaysScroll(page);
      await expectAccessible(page, "structure");
    }
  }, 120_000);

  it("has what is done with drafts in reach of a window of 320 px, and of the keyboard afterwards", async () => {
    const page = await open("/records?org=RIO", { width: 320, height: 640 });
    const grid = page.getByRole("grid", { name: "Records" });
    const hasFocus = (locator: Locator) => locator.evaluate((element) => element === document.activeElement);
    const commit = page.getByRole("button", { name: "Review and commit…" });
    await commit.click();
    await page
      .getByRole("dialog", { name: /^Commit \d/ })
      .getByRole("button", { name: "Cancel" })
      .click();
    await expect.poll(() => hasFocus(commit)).toBe(true);
    await page.getByRole("checkbox", { name: "Select record 1", exact: true }).check();
    await page.getByRole("button", { name: /^Select all \d+ that match/ }).press("Enter");
    await expect.poll(() => hasFocus(page.getByText(/^All \d+ that match/))).toBe(true);
    await page.getByRole("button", { name: "Select none" }).press("Enter");
    await expect.poll(() => hasFocus(grid)).toBe(true);
  });

  it("keeps the rules while a window is open", async () => {
    const page = await open("/records?org=RIO");
    await page.getByRole("button", { name: "Review and commit…" }).click();
    await page.getByRole("dialog", { name: /Commit/ }).waitFor();
    await expectAccessible(page);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Notifications/ }).click();
    await page.getByRole("dialog", { name: "Notifications" }).waitFor();
    await expectAccessible(page);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.getByRole("listbox", { name: "Commands" }).waitFor();
    await expectAccessible(page);
    await go(page, "/failures?org=RIO", "usr_admin");
    await page.getByRole("button", { name: /^Discard \d/ }).click();
    await page.getByRole("alertdialog").waitFor();
    await expectAccessible(page);
  });

  it("says why what can't be pressed can't be", async () => {
    const page = await open("/conflicts?org=RIO", { user: "usr_viewer" });
    const button = page.getByRole("button", { name: /^Resolve all/ });
    await button.focus();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Shift+Tab");
    await page.getByRole("tooltip").getByText("The user may edit in no organization").waitFor();
  });
});
