import { describe, expect, it } from "vitest";
import { api, open, untilLive, withBrowser } from "./support/pages";
import { editInPems, inPems } from "./support/pems";

withBrowser();

/** A conflict of a record: PEMS and the editor changed rate and model. */
async function conflictOf(pfaId: string): Promise<void> {
  await editInPems(pfaId, { monthlyRate: 11_111, model: "PEMS' model" });
  await api().commit("usr_editor", [{ pfaId, delta: { monthlyRate: 13_333, model: `Our model of ${pfaId}` } }]);
  await api().until<{ states: string[] }>(`/api/pfa-data/records/${pfaId}?organizationId=RIO`, ({ states }) =>
    states.includes("conflict"),
  );
}

describe("By keyboard alone", () => {
  it("a conflict is picked field by field, resolved, and the next one comes", async () => {
    await conflictOf("80");
    await conflictOf("81");
    const page = await open("/conflicts?org=RIO&pfaId=");
    await untilLive(page);
    await page.getByRole("link", { name: "80", exact: true }).focus();
    await page.keyboard.press("Enter");
    const model = page.getByRole("radiogroup", { name: "Model" });
    const rate = page.getByRole("radiogroup", { name: "Monthly rate" });
    await model.waitFor();
    // The first field has the focus. Right picks PEMS, left goes back to yours.
    await page.keyboard.press("ArrowRight");
    expect(await model.getByRole("radio", { name: /^PEMS/ }).getAttribute("aria-checked")).toBe("true");
    await page.keyboard.press("ArrowLeft");
    expect(await model.getByRole("radio", { name: /^Yours/ }).getAttribute("aria-checked")).toBe("true");
    // Nothing is sent before every field is chosen, and the reason is said.
    await page.keyboard.press("Enter");
    await page.getByText("Choose a side for Monthly rate").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("e");
    const entry = page.getByRole("textbox", { name: "Other value of Monthly rate" });
    await entry.waitFor();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("12,222.50");
    await page.keyboard.press("Enter");
    await page.getByText("your own value", { exact: true }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("Conflict of record 80 is resolved").waitFor();
    await page.getByRole("heading", { name: /Record 81/ }).waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/80?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    expect(await inPems("80")).toMatchObject({ monthlyRate: 12_222.5, model: "Our model of 80" });
    await rate.waitFor();
    await page.keyboard.press("p");
    await page.getByText("Nothing is sent: PEMS keeps its values, and the edit is given up.").waitFor();
    await page.keyboard.press("Enter");
    await page.getByText("Conflict of record 81 is resolved").waitFor();
    expect((await inPems("81")).monthlyRate).toBe(11_111);
  });

  it("a job is rolled back", async () => {
    const { jobId } = await api().commit("usr_editor", [{ pfaId: "85", delta: { model: "LTM 1300" } }]);
    await api().untilEnded(jobId);
    const page = await open(`/history/${jobId}`, { user: "usr_admin" });
    await page.getByRole("link", { name: "Roll back…" }).focus();
    await page.keyboard.press("Enter");
    const start = page.getByRole("button", { name: "Roll back 1…" });
    await start.waitFor();
    await start.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("alertdialog", { name: `Roll back job ${jobId}` });
    await dialog.waitFor();
    // The focus is on Cancel, so that Enter destroys nothing.
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Cancel");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.type("It was the wrong crane");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("1 synced").waitFor();
    expect((await inPems("85")).model).toBe("LTM 1100");
  });

  it("a record is found, edited in the grid, and the keys are listed", async () => {
    const page = await open("/?org=RIO");
    await untilLive(page);
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await page.getByRole("grid", { name: "Records" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("pfa:86");
    await page.keyboard.press("Enter");
    await page.getByText("1 record", { exact: true }).waitFor();
    await page.getByRole("grid").focus();
    // The active cell is that of the category, one further the class.
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await page.getByRole("textbox", { name: "Class" }).waitFor();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("Crawler Crane");
    await page.keyboard.press("Enter");
    await page.getByRole("gridcell", { name: /^Crawler Crane ?, Draft; was Mobile Crane/ }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).getByText("Pick the side: base, yours or PEMS").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.keyboard.type("86");
    await page.getByRole("option", { name: "Open record 86 of RIO" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /86/ }).waitFor();
    await api().call("usr_editor", "POST", "/api/pfa-data/discard-drafts", { organizationId: "RIO", pfaIds: ["86"] });
  });
});
