import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { api, expectAccessible, openElsewhere, picture, withBrowser } from "./support/pages";
import { editInPems, inPems } from "./support/pems";
import { Service, tokenOf, type User } from "./support/service";

withBrowser();

const KINDS: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css" };

let host: Server;
let service: Service;
let address = "";

beforeAll(async () => {
  host = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://host").pathname;
    const file = path === "/" ? "/index.html" : path;
    const place = `example/dist${file}`;
    if (!existsSync(place)) response.statusCode = 404;
    else response.setHeader("Content-Type", KINDS[file.split(".").at(-1) ?? ""] ?? "text/plain");
    response.end(existsSync(place) ? readFileSync(place) : "");
  });
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  const place = host.address();
  address = typeof place === "object" && place ? `http://127.0.0.1:${place.port}` : "";
  service = await Service.start(0, ["--allowed-origins", address]);
});

afterAll(async () => {
  await service.stop();
  host.close();
});

const openHost = (pfaIds: string[], user: User = "usr_editor", theme = "light") =>
  openElsewhere(
    `${address}/?api=${encodeURIComponent(service.address)}&org=RIO&theme=${theme}&pfa=${pfaIds.join()}#token=${tokenOf(user)}`,
  );

/** How elements of the host look: what must be the same with and without the components. */
const looks = (page: Page) =>
  page.evaluate(() =>
    ["html", "body", "h1", "#text", "#text a", "#text button", "#mount", "main"].map((selector) => {
      const element = document.querySelector(selector);
      const style = element && getComputedStyle(element);
      return style
        ? [
            selector,
            ...Array.from(style)
              .filter((name) => !/height|width|block-size|inline-size|origin/.test(name))
              .map((name) => `${name}: ${style.getPropertyValue(name)}`),
          ].join("; ")
        : selector;
    }),
  );

describe("The mounted components", () => {
  it("change nothing else on the page of the host", async () => {
    const page = await openHost(["140"]);
    const before = await looks(page);
    await page.locator("#mount").click();
    await page.getByText("1 are synced").waitFor();
    await page.mouse.move(0, 0);
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    expect(await looks(page)).toEqual(before);
    await page.locator("#mount").click();
    expect(await page.locator("[data-pfa-sync]").count()).toBe(0);
  });

  it("show the status of each row live, and resolve its conflict", async () => {
    const page = await openHost(["141", "142"]);
    await page.locator("#mount").click();
    await page.getByText("2 are synced").waitFor();
    await editInPems("141", { monthlyRate: 11_000 });
    await service.commit("usr_editor", [{ pfaId: "141", delta: { monthlyRate: 13_000 } }]);
    const row = page.locator("#grid tr").filter({ hasText: "141" });
    await row.getByRole("button", { name: "Conflict" }).click();
    await page
      .getByRole("dialog", { name: "Conflict of record 141" })
      .getByRole("radiogroup", { name: "Monthly rate" })
      .waitFor();
    await picture(page, "components");
    await expectAccessible(page);
    await page.keyboard.press("y");
    await page.keyboard.press("Enter");
    await page.getByText("Conflict of record 141 is resolved").waitFor();
    await page.getByText("2 are synced").waitFor();
    expect((await inPems("141")).monthlyRate).toBe(13_000);
  });

  it("list jobs, and roll one back", async () => {
    const { jobId } = await service.commit("usr_editor", [{ pfaId: "143", delta: { model: "LTM 1450" } }]);
    await service.untilEnded(jobId);
    const page = await openHost(["143"], "usr_admin", "dark");
    await page.locator("#mount").click();
    await page.getByRole("button", { name: `Commit ${jobId}` }).click();
    await page.getByRole("button", { name: "Roll back…" }).click();
    const dialog = page.getByRole("dialog", { name: `Roll back job ${jobId}` });
    await dialog.getByRole("button", { name: "Roll back 1…" }).click();
    await page.getByRole("textbox", { name: "Reason" }).fill("It was the wrong crane");
    await page.getByRole("button", { name: "Roll back 1", exact: true }).click();
    await page.getByText("1 record is being rolled back").waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/143?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    await expectAccessible(page);
    await page.getByRole("button", { name: /^Notifications/ }).click();
    await page.getByRole("dialog", { name: "Notifications" }).waitFor();
  });
});
