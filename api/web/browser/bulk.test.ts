import { describe, expect, it } from "vitest";
import { api, expectAccessible, go, open, untilLive, withBrowser } from "./support/pages";
import { editInPems, fault, inPems } from "./support/pems";

withBrowser();

/** A relay looks for bulk jobs at its poll interval. */
const LONG = { timeout: 60_000 };

/** While sending is paused for an organization. */
async function paused(organizationId: string, run: () => Promise<void>): Promise<void> {
  const resume = () => api().call("usr_admin", "POST", "/api/pems/resume", { organizationId });
  await api().call("usr_admin", "POST", "/api/pems/pause", { organizationId, reason: "A test of bulk jobs" });
  try {
    await run();
  } finally {
    await resume();
  }
}

describe("An edit of all records that match", () => {
  it("saves drafts by a job, which are committed, withdrawn and discarded together", async () => {
    // These records are in the mirror alone: nothing of them may be sent.
    await paused("HARBOUR", async () => {
      const search = "/records?org=HARBOUR&q=monthlyRate:5000..5079";
      const page = await open(search);
      await untilLive(page);
      const selectAll = async () => {
        await page.getByText("1,200 records").waitFor();
        await page.getByRole("checkbox", { name: "Select record 000001", exact: true }).check();
        await page.getByRole("button", { name: "Select all 1,200 that match" }).click();
        await page.getByText("All 1,200 that match").waitFor();
      };
      await selectAll();
      await page.getByRole("button", { name: "Shift dates…" }).click();
      const dialog = page.getByRole("dialog", { name: "Shift dates of 1,200 records" });
      await dialog.getByRole("textbox", { name: "How far" }).fill("14");
      await dialog.getByText("Forecast end: Dec 31, 2026 → Jan 14, 2027").first().waitFor();
      await dialog.getByText("1,200 change, 0 stay as they are.").waitFor();
      await expectAccessible(page);
      await dialog.getByRole("button", { name: "Save 1,200 drafts", exact: true }).click();
      await page.getByRole("link", { name: /Follow job/ }).click();
      await page.getByText("1,200 done").waitFor(LONG);

      await page.getByRole("link", { name: "Review and commit the drafts" }).click();
      await page.getByRole("toolbar", { name: "Drafts" }).getByText("1,200 drafts").waitFor();
      await page.getByRole("button", { name: "Review and commit…" }).click();
      const commit = page.getByRole("dialog", { name: "Commit 1,200 drafts" });
      await commit.getByText("The first 200 of 1,200 are listed.").waitFor();
      await commit.getByRole("button", { name: "Commit 1,200", exact: true }).click();
      await page.getByText("1,200 queued for PEMS").waitFor(LONG);

      await go(page, search);
      await selectAll();
      await page.getByRole("button", { name: "Withdraw 1,200…" }).click();
      await page
        .getByRole("alertdialog", { name: "Withdraw queued changes" })
        .getByRole("button", { name: "Withdraw 1,200", exact: true })
        .click();
      await page.getByText("200 changes are drafts again").waitFor(LONG);

      await page.getByRole("button", { name: "Commit 1,200…" }).click(LONG);
      await page
        .getByRole("dialog", { name: "Commit 1,200 drafts" })
        .getByRole("button", { name: "Discard 1,200…" })
        .click();
      await page
        .getByRole("alertdialog", { name: "Discard drafts" })
        .getByRole("button", { name: "Discard 1,200", exact: true })
        .click();
      await page.getByText("1,200 drafts are discarded").waitFor(LONG);
      const { records } = await api().call<{ records: unknown[] }>("usr_editor", "POST", "/api/pfa-data/search", {
        organizationId: "HARBOUR",
        filter: { state: ["draft", "queued"] },
      });
      expect(records).toEqual([]);
    });
  }, 240_000);

  it("falls back to the rows that were read when one of them is taken out", async () => {
    const page = await open("/records?org=HARBOUR");
    await page.getByRole("checkbox", { name: "Select record 000001", exact: true }).check();
    await page.getByRole("button", { name: "Select all 60,000 that match" }).click();
    await page.getByText("All 60,000 that match").waitFor();
    await page.getByRole("checkbox", { name: "Select record 000002", exact: true }).uncheck();
    await page.getByText("199 selected").waitFor();
  });
});

describe("A bulk job", () => {
  it("is stopped and continued on its page", async () => {
    const ids = ["160", "161", "162"];
    for (const pfaId of ids) {
      await fault("put", { refuse: [422, "INVALID", "the contract is not open yet"] });
      await api().untilEnded((await api().commit("usr_editor", [{ pfaId, delta: { contract: `C-${pfaId}` } }])).jobId);
    }
    const page = await open("/failures?org=RIO", { user: "usr_admin" });
    // The first stage can't be sent, so that the others wait.
    await paused("RIO", async () => {
      for (const pfaId of ids)
        await page.getByRole("checkbox", { name: `Select the change of record ${pfaId}`, exact: true }).check();
      await page.getByRole("button", { name: "Resend 3…" }).click();
      const dialog = page.getByRole("alertdialog", { name: "Resend failed changes" });
      await dialog.getByText("3 changes of 3 records").waitFor();
      await dialog.getByRole("button", { name: "Resend 3", exact: true }).click();
      await page.getByRole("link", { name: /Follow job/ }).click();
      await page.getByText("2 waiting for their turn").waitFor();
      await page.getByRole("button", { name: "Stop", exact: true }).click();
      await page.getByText(/^Stopped: Stopped in the dashboard/).waitFor();
      await page.getByRole("button", { name: "Continue", exact: true }).click();
      await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
      await page.getByText("2 waiting for their turn").waitFor();
    });
    await page.getByText("3 synced").waitFor(LONG);
    expect((await inPems("162")).contract).toBe("C-162");
  }, 120_000);
});

describe("The resolver", () => {
  it("says while a value is written why it would be refused, and sends one that is valid", async () => {
    await editInPems("163", { forecastEnd: "2027-01-31T00:00:00.000Z" });
    await api().commit("usr_editor", [{ pfaId: "163", delta: { forecastEnd: "2027-02-28T00:00:00.000Z" } }]);
    const { conflicts } = await api().until<{ conflicts: { conflictId: string }[] }>(
      "/api/pems/conflicts?pfaId=163",
      ({ conflicts }) => conflicts.length === 1,
    );
    const page = await open(`/conflicts/${conflicts[0]?.conflictId}`);
    const end = page.getByRole("radiogroup", { name: "Forecast end" });
    await end.waitFor();
    await page.keyboard.press("y");
    await page.getByText("Sent to PEMS: Forecast end Feb 28, 2027 (PEMS has Jan 31, 2027).").waitFor();
    await page.keyboard.press("e");
    const entry = page.getByLabel("Other value of Forecast end");
    await entry.fill("2020-01-01");
    await page
      .getByText(/must not be after forecastEnd/)
      .first()
      .waitFor();
    await expectAccessible(page);
    const resolve = page.getByRole("button", { name: /^Resolve/ });
    expect(await resolve.getAttribute("aria-disabled")).toBe("true");
    await entry.fill("2027-03-31");
    await page.getByText("Sent to PEMS: Forecast end Mar 31, 2027 (PEMS has Jan 31, 2027).").waitFor();
    await entry.press("Enter");
    await page.keyboard.press("Enter");
    await page.getByText("Conflict of record 163 is resolved").waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/163?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    expect((await inPems("163")).forecastEnd).toBe("2027-03-31T00:00:00.000Z");
  });
});
