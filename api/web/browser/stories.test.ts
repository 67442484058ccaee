import { describe, expect, it } from "vitest";
import { api, go, open, picture, untilLive, withBrowser } from "./support/pages";
import { editInPems, fault, gateway, inPems } from "./support/pems";

withBrowser();

describe("A cost engineer", () => {
  it("edits a record in the grid, sees what it costs, commits it, and sees it synced", async () => {
    const page = await open("/records?org=RIO&q=pfa:11");
    await untilLive(page);
    const row = page
      .getByRole("row")
      .filter({ has: page.getByRole("checkbox", { name: "Select record 11", exact: true }) });
    const cell = row.getByRole("gridcell").filter({ hasText: "12,500.00" });
    await cell.dblclick();
    const entry = page.getByRole("textbox", { name: "Monthly rate" });
    await entry.fill("13,250.50");
    await entry.press("Enter");
    await row.getByText("Draft", { exact: true }).waitFor();
    await page.getByRole("toolbar", { name: "Drafts" }).getByText("+8,974.44").waitFor();
    await picture(page, "records-draft");
    await page.getByRole("button", { name: "Review and commit…" }).click();
    const dialog = page.getByRole("dialog", { name: /Commit a draft/ });
    await dialog.getByText("Monthly rate: 12,500.00 → 13,250.50").waitFor();
    await picture(page, "records-commit");
    await dialog.getByRole("button", { name: "Commit 1", exact: true }).click();
    await page.getByRole("alertdialog").getByText("1 queued for PEMS").waitFor();
    await row.getByText("Synced").waitFor();
    expect((await inPems("11")).monthlyRate).toBe(13250.5);
  });

  it("resolves a conflict by a merge, and PEMS gets the merged values", async () => {
    await editInPems("12", { monthlyRate: 11_000, model: "LTM 1100 with short boom" });
    const { verdicts } = await api().commit("usr_editor", [
      { pfaId: "12", delta: { monthlyRate: 13_000, model: "LTM 1100 with long boom", contract: "C-12" } },
    ]);
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(["queued"]);
    const page = await open("/conflicts?org=RIO");
    await page.getByRole("link", { name: "12", exact: true }).click();
    await page
      .getByRole("radiogroup", { name: "Model" })
      .getByRole("radio", { name: /^Yours/ })
      .click();
    await page.getByRole("radiogroup", { name: "Monthly rate" }).getByRole("radio", { name: /^PEMS/ }).click();
    // The field of the edit that does not conflict is sent, too; PEMS' rate is not, since PEMS has it.
    const contract = "Contract C-12 (PEMS has —)";
    const model = "Model LTM 1100 with long boom (PEMS has LTM 1100 with short boom)";
    await page.getByText(`Sent to PEMS: ${contract}; ${model}.`, { exact: true }).waitFor();
    await picture(page, "resolver");
    await page.getByRole("button", { name: /^Resolve/ }).click();
    await page.getByText("Conflict of record 12 is resolved").waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/12?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    expect(await inPems("12")).toMatchObject({
      monthlyRate: 11_000,
      model: "LTM 1100 with long boom",
      contract: "C-12",
    });
  });

  it("gets a notification of an edit's outcome, also of one that ended while the page was closed", async () => {
    const { jobId } = await api().commit("usr_editor", [{ pfaId: "13", delta: { model: "LTM 1300" } }]);
    await api().untilEnded(jobId);
    const page = await open("/");
    await page.getByRole("button", { name: /^Notifications, \d+ unread/ }).click();
    const dialog = page.getByRole("dialog", { name: "Notifications" });
    await dialog
      .getByText(/in PEMS/)
      .first()
      .waitFor();
    await picture(page, "notifications");
    await dialog.getByRole("button", { name: "Mark all as read" }).click();
    await page.getByRole("button", { name: "Notifications", exact: true }).waitFor({ state: "attached" });
  });

  it("commits a bulk shift of dates, and follows its progress", async () => {
    const page = await open("/records?org=RIO&q=pfa:20,21,22,23,24,25,26,27,28,29");
    await untilLive(page);
    await page.getByRole("checkbox", { name: "Select all loaded records" }).check();
    await page.getByRole("button", { name: "Shift dates…" }).click();
    const dialog = page.getByRole("dialog", { name: "Shift dates of 10 records" });
    await dialog.getByRole("textbox", { name: "How far" }).fill("14");
    await dialog.getByText("Forecast end: Dec 31, 2026 → Jan 14, 2027").first().waitFor();
    await dialog.getByText("10 change, 0 stay as they are.").waitFor();
    await picture(page, "records-bulk");
    await dialog.getByRole("button", { name: "Save 10 drafts", exact: true }).click();
    await page.getByRole("button", { name: "Commit 10…" }).click();
    await page.getByRole("button", { name: "Commit 10", exact: true }).click();
    // The message of the edit has a link to its job, too.
    await page
      .getByRole("alertdialog")
      .filter({ hasText: "10 drafts committed" })
      .getByRole("link", { name: /Follow job/ })
      .click();
    await page.getByText("10 synced").waitFor();
    const bar = page.getByRole("progressbar");
    expect(await bar.getAttribute("aria-valuenow")).toBe("10");
    expect((await inPems("25")).forecastEnd).toBe("2027-01-14T00:00:00.000Z");
  });
});

describe("Two conflicts", () => {
  it("are resolved together while sending is paused, undone, and resolved the other way", async () => {
    const ids = ["150", "151"];
    for (const pfaId of ids) await editInPems(pfaId, { monthlyRate: 11_000 });
    await api().commit(
      "usr_editor",
      ids.map((pfaId) => ({ pfaId, delta: { monthlyRate: 13_000 } })),
    );
    for (const pfaId of ids) {
      await api().until<{ states: string[] }>(`/api/pfa-data/records/${pfaId}?organizationId=RIO`, ({ states }) =>
        states.includes("conflict"),
      );
    }
    const page = await open("/?org=RIO", { user: "usr_admin" });
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByRole("textbox", { name: "Reason" }).fill("The season's rates are being agreed");
    await page.getByRole("button", { name: "Pause RIO", exact: true }).click();
    await page.getByText("Sending is paused for RIO").waitFor();
    await go(page, "/conflicts?org=RIO");
    for (const pfaId of ids)
      await page.getByRole("checkbox", { name: `Select the conflict of record ${pfaId}` }).check();
    const resolve = async (choice: string) => {
      await page.getByRole("button", { name: "Resolve 2…" }).click();
      const dialog = page.getByRole("alertdialog", { name: "Resolve several conflicts" });
      await dialog.getByRole("radio", { name: choice }).check();
      await dialog.getByText(/2 conflicts of 2 records/).waitFor();
      await dialog.getByRole("button", { name: "Resolve 2", exact: true }).click();
      await page.getByText("2 conflicts are resolved").waitFor();
    };
    await resolve("Send the edits");
    await page.getByRole("button", { name: "Undo", exact: true }).click();
    await page.getByText("2 conflicts are open again").waitFor();
    for (const pfaId of ids)
      await page.getByRole("checkbox", { name: `Select the conflict of record ${pfaId}` }).check();
    await resolve("Keep PEMS' values");
    await go(page, "/administration", "usr_admin");
    const rowOf = (region: string) => page.getByRole("region", { name: region }).getByRole("row", { name: /^RIO/ });
    const [organization, sending] = [rowOf("Organizations"), rowOf("What you may do")];
    await sending.getByText("Paused: The season's rates are being agreed").waitFor();
    await organization.getByRole("button", { name: "Resume", exact: true }).click();
    await sending.getByText("Changes are sent").waitFor();
    expect((await inPems("150")).monthlyRate).toBe(11_000);

    await organization.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByRole("combobox", { name: "Stop" }).selectOption("both");
    await page.getByRole("textbox", { name: "Reason" }).fill("PEMS moves to another address");
    await page.getByRole("button", { name: "Pause RIO", exact: true }).click();
    await sending.getByText("Nothing is in flight").waitFor();
    await organization.getByRole("button", { name: "Resume", exact: true }).click();
    await sending.getByText("Changes are sent").waitFor();
  });
});

describe("An administrator", () => {
  it("sees that PEMS is down, that edits wait, and that they go on by themselves", async () => {
    await gateway(502);
    const { jobId } = await api().commit("usr_editor", [{ pfaId: "30", delta: { contract: "C-30" } }]);
    const page = await open("/", { user: "usr_admin" });
    await page.getByText("Not working").waitFor({ timeout: 30_000 });
    await picture(page, "overview-down");
    await gateway();
    await page.getByText("Not working").waitFor({ state: "detached", timeout: 30_000 });
    await api().untilEnded(jobId);
    expect((await inPems("30")).contract).toBe("C-30");
  });

  it("sees changes that PEMS refused, notes it, and resends them in stages once it takes them", async () => {
    const ids = Array.from({ length: 12 }, (_, index) => String(40 + index));
    for (const pfaId of ids) {
      await fault("put", { refuse: [422, "INVALID", "the contract is not open yet"] });
      await api().untilEnded((await api().commit("usr_editor", [{ pfaId, delta: { contract: `C-${pfaId}` } }])).jobId);
    }
    const page = await open("/failures?org=RIO", { user: "usr_admin" });
    await page.getByText("12 failed for good").waitFor();
    await picture(page, "failures");
    await page.getByRole("button", { name: "Note…" }).first().click();
    await page.getByRole("combobox", { name: "State" }).selectOption("looking");
    await page.getByRole("textbox", { name: "Note" }).fill("The contract opens today");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("The contract opens today").waitFor();
    await page.getByRole("button", { name: "Resend 12…" }).click();
    const dialog = page.getByRole("alertdialog", { name: "Resend failed changes" });
    await dialog.getByText("12 changes of 12 records").waitFor();
    await picture(page, "failures-resend");
    await dialog.getByRole("button", { name: "Resend 12", exact: true }).click();
    await page.getByRole("link", { name: /Follow job/ }).click();
    await page.getByText("12 synced").waitFor({ timeout: 40_000 });
    expect((await inPems("47")).contract).toBe("C-47");
  });

  it("fixes a change that PEMS refuses, and resends it", async () => {
    await fault("put", { refuse: [422, "INVALID", "monthlyRate is above what the category allows"] });
    await api().commit("usr_editor", [{ pfaId: "60", delta: { monthlyRate: 950_000 } }]);
    const page = await open("/failures?org=RIO&pfaId=60", { user: "usr_admin" });
    await page.getByRole("button", { name: "Fix and resend…" }).click();
    const rate = page.getByRole("textbox", { name: "Monthly rate" });
    await rate.fill("14,000");
    await page.getByRole("button", { name: "Resend", exact: true }).click();
    await page.getByText("The corrected change of record 60 is sent").waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/60?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    expect((await inPems("60")).monthlyRate).toBe(14_000);
  });

  it("rolls a job back, and PEMS has the values from before it", async () => {
    const drafts = ["70", "71", "72"].map((pfaId) => ({ pfaId, delta: { monthlyRate: 15_000, areaSilo: "Silo 9" } }));
    const { jobId } = await api().commit("usr_editor", drafts);
    await api().untilEnded(jobId);
    // Someone changed a record since: it is left out.
    await api().untilEnded((await api().commit("usr_editor", [{ pfaId: "72", delta: { monthlyRate: 16_000 } }])).jobId);
    const page = await open(`/history/${jobId}`, { user: "usr_admin" });
    await page.getByRole("link", { name: "Roll back…" }).click();
    await page.getByRole("button", { name: "Roll back 2, leave out 1…" }).waitFor();
    await picture(page, "rollback");
    await page.getByRole("button", { name: "Roll back 2, leave out 1…" }).click();
    await page.getByRole("textbox", { name: "Reason" }).fill("The rates were those of another category");
    await page.getByRole("button", { name: "Roll back 2, leave out 1", exact: true }).click();
    await page.getByText("2 synced").waitFor();
    expect(await inPems("70")).toMatchObject({ monthlyRate: 12_500, areaSilo: "Silo 1" });
    expect(await inPems("72")).toMatchObject({ monthlyRate: 16_000, areaSilo: "Silo 9" });
  });
});
