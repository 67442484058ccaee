import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { api, open, picture, untilLive, withBrowser } from "./support/pages";
import { Service, tokenOf } from "./support/service";

withBrowser();

describe("A user", () => {
  it("without a token is asked for one, and a token that ends signs out", async () => {
    const page = await open("/");
    await page.getByRole("button", { name: /^Sign out/ }).click();
    await page.getByRole("heading", { name: "Sign in to pfa-sync" }).waitFor();
    await picture(page, "sign-in");
    await page.getByRole("textbox", { name: "Token of PFA Vanguard" }).fill("not a token");
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("The service does not accept the token").waitFor();
    await page.getByRole("textbox", { name: "Token of PFA Vanguard" }).fill(`Bearer ${tokenOf("usr_editor", 3)}`);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("region", { name: "Health" }).waitFor();
    await page.getByText("The token has ended. Sign in again; nothing that was saved is lost.").waitFor();
    expect(await page.context().cookies()).toEqual([]);
  });

  it("without a token is sent to the sign-in page of the installation, and comes back signed in", async () => {
    const service = await Service.start(0, ["--sign-in-url", "https://pfa.example.com/sign-in?from=sync"]);
    try {
      const page = await open("/");
      await page.evaluate(() => sessionStorage.clear());
      await page.route("https://pfa.example.com/**", (route) => {
        const back = new URL(route.request().url()).searchParams.get("return_to") ?? "";
        return route.fulfill({ status: 302, headers: { Location: `${back}#token=${tokenOf("usr_editor")}` } });
      });
      await page.goto(`${service.address}/history?kind=commit`);
      await page.getByRole("heading", { name: "History" }).waitFor();
      expect(page.url()).toBe(`${service.address}/history?kind=commit`);
    } finally {
      await service.stop();
    }
  });

  it("sees the first view in under a second", async () => {
    const page = await open("/");
    await page.getByRole("region", { name: "Health" }).waitFor();
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const started = performance.now();
      await page.reload();
      await page.getByRole("region", { name: "Health" }).waitFor();
      times.push(performance.now() - started);
    }
    console.log(`first view after ${times.map(Math.round).join(", ")} ms`);
    await untilLive(page);
    await picture(page, "overview");
  });

  it("moves through 60,000 records, of which only those in view are in the page", async () => {
    const page = await open("/records?org=HARBOUR");
    await page.getByText("60,000 records").waitFor();
    const grid = page.getByRole("grid");
    expect(await grid.getAttribute("aria-rowcount")).toBe("60001");
    const windows: number[] = [];
    page.on("request", (request) => {
      const { skip } = request.url().endsWith("/api/pfa-data/search") ? request.postDataJSON() : {};
      if (skip !== undefined) windows.push(skip);
    });
    for (const [row, pfaId, window] of [
      [30_100, "030101", 30_000],
      [59_990, "060000", 59_800],
      [900, "000901", 800],
    ] as const) {
      await grid.evaluate((element, top) => element.scrollTo({ top }), row * 36);
      await page.getByRole("gridcell", { name: pfaId, exact: true }).waitFor();
      expect(windows.splice(0)).toEqual([window]);
    }
    expect(await page.getByRole("row").count()).toBeLessThan(80);
    await picture(page, "records");
    await page.getByRole("combobox", { name: "Search and filter records" }).fill("monthlyRate:5000..5000");
    await page.keyboard.press("Enter");
    await page.getByText("15 records").waitFor();
  });

  it("finds a view again by its address and by its name", async () => {
    const page = await open("/records?org=RIO&q=source:Rental&sort=model&desc=1&cols=model,monthlyRate");
    await page.getByRole("columnheader", { name: "Model" }).waitFor();
    await page.getByRole("button", { name: "Save view" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Rentals by model");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Delete view" }).waitFor();
    await page.goto(`${api().address}/records?org=RIO`);
    await page.getByRole("combobox", { name: "Saved view" }).selectOption("Rentals by model");
    await page.waitForURL(/sort=model/);
    expect(new URL(page.url()).searchParams.get("cols")).toBe("model,monthlyRate");
  });

  it("gets the log as a file", async () => {
    await api().untilEnded(
      (await api().commit("usr_editor", [{ pfaId: "130", delta: { model: "For the log" } }])).jobId,
    );
    const page = await open("/audit?org=RIO&type=COMMITTED");
    await page.getByRole("cell", { name: "Committed" }).first().waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "CSV", exact: true }).click();
    const file = await download;
    expect(file.suggestedFilename()).toMatch(/^audit-\d{4}-\d{2}-\d{2}\.csv$/);
    const lines = readFileSync(await file.path(), "utf8")
      .trim()
      .split("\n");
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.slice(1).every((line) => line.includes("COMMITTED"))).toBe(true);
  });

  it("tries a route in the reference of the API", async () => {
    const page = await open("/");
    await page.goto(`${api().address}/docs/`);
    await page.getByRole("button", { name: "Authorize" }).click();
    await page.getByRole("textbox", { name: /auth-bearer|value/i }).fill(tokenOf("usr_editor"));
    await page.getByRole("button", { name: "Apply credentials" }).click();
    await page.getByRole("button", { name: "Close" }).click();
    await page
      .getByRole("button", { name: /^get \/api\/pems\/me/i })
      .first()
      .click();
    await page.getByRole("button", { name: "Execute" }).click();
    await page.getByText('"userId": "usr_editor"').first().waitFor();
  });
});
