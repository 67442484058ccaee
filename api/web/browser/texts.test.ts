import { describe, expect, it } from "vitest";
import { api, go, open, untilLive, withBrowser } from "./support/pages";
import { editInPems, fault } from "./support/pems";

withBrowser();

const HOSTILE = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`;

describe("A text", () => {
  it("of any origin is shown as text, whatever it holds", async () => {
    const short = HOSTILE.slice(0, 78);
    await fault("put", { refuse: [422, "INVALID", HOSTILE] });
    await api().untilEnded(
      (await api().commit("usr_editor", [{ pfaId: "110", delta: { model: short, contract: short } }])).jobId,
    );
    await editInPems("111", { model: `<b>${short.slice(3)}`, areaSilo: short });
    await api().commit("usr_editor", [{ pfaId: "111", delta: { model: short } }]);
    const { conflicts } = await api().until<{ conflicts: { conflictId: string }[] }>(
      "/api/pems/conflicts?pfaId=111",
      ({ conflicts }) => conflicts.length === 1,
    );
    await api().call("usr_admin", "PUT", "/api/pems/failures/REJECTED", {
      organizationId: "RIO",
      note: HOSTILE,
      state: "known",
    });
    await api().call("usr_editor", "PUT", `/api/pems/views/records/${encodeURIComponent("<b>view")}`, {
      setup: { q: HOSTILE },
      shared: true,
    });
    const page = await open("/failures?org=RIO", { user: "usr_admin" });
    await page.getByText(HOSTILE).first().waitFor();
    for (const [path, shown] of [
      ["/records?org=RIO&q=pfa:110,111", short],
      ["/records/110?org=RIO", short],
      [`/conflicts/${conflicts[0]?.conflictId}`, short],
      ["/conflicts?org=RIO&pfaId=111", short],
      ["/audit?org=RIO&pfaId=110", HOSTILE],
      [`/records?org=RIO&q=${encodeURIComponent(HOSTILE)}`, "No record matches"],
    ] as const) {
      await go(page, path, "usr_admin");
      await page.getByText(shown).first().waitFor();
      expect(await page.title()).toBe("pfa-sync");
      expect(await page.locator("img[src=x]").count()).toBe(0);
    }
    await api().tidy("110", "111");
  });
});

describe("A day of the plan", () => {
  it.each(["Pacific/Auckland", "America/Los_Angeles"])(
    "is the same calendar day in %s, and is saved as midnight UTC",
    async (timezoneId) => {
      const pfaId = timezoneId.startsWith("Pacific") ? "120" : "121";
      const page = await open(`/records?org=RIO&q=pfa:${pfaId}`, { timezoneId, locale: "en-GB" });
      await untilLive(page);
      await page.getByRole("gridcell", { name: "31 Dec 2026" }).dblclick();
      const entry = page.getByLabel("Forecast end");
      expect(await entry.inputValue()).toBe("2026-12-31");
      await entry.fill("2027-02-28");
      await entry.press("Enter");
      await page.getByRole("gridcell", { name: /^28 Feb 2027 ?, Draft/ }).waitFor();
      const record = await api().until<{ draft: { delta: object } | null }>(
        `/api/pfa-data/records/${pfaId}?organizationId=RIO`,
        () => true,
      );
      expect(record.draft).toBeNull();
      const own = await api().call<{ draft: { delta: object } }>(
        "usr_editor",
        "GET",
        `/api/pfa-data/records/${pfaId}?organizationId=RIO`,
      );
      expect(own.draft.delta).toEqual({ forecastEnd: "2027-02-28T00:00:00.000Z" });
      await api().call("usr_editor", "POST", "/api/pfa-data/discard-drafts", {
        organizationId: "RIO",
        pfaIds: [pfaId],
      });
    },
  );
});
