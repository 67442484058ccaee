import { createServer, type Server, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { api, go, newPage, open, replaceService, untilLive, withBrowser } from "./support/pages";
import { editInPems, inPems } from "./support/pems";
import { Service } from "./support/service";

withBrowser();

/** A way to the service that can be cut. */
async function wayTo(port: number): Promise<{ port: number; cut: () => void; close: () => void }> {
  const sockets = new Set<Socket>();
  const { connect } = await import("node:net");
  const server: Server = createServer((socket) => {
    const target = connect(port, "127.0.0.1");
    for (const end of [socket, target]) {
      sockets.add(end);
      end.on("error", () => end.destroy());
      end.on("close", () => {
        sockets.delete(end);
        socket.destroy();
        target.destroy();
      });
    }
    socket.pipe(target).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (!address || typeof address === "string") throw new Error("no port");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    cut,
    close: () => {
      cut();
      server.close();
    },
  };
}

describe("The page", () => {
  it("shows what happened between its first reads and the start of its event stream", async () => {
    const page = await newPage();
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route("**/api/pems/events*", async (route) => {
      await held;
      await route.continue();
    });
    await go(page, "/records?org=RIO&q=pfa:106", "usr_second");
    await page.getByRole("gridcell", { name: "LTM 1100" }).waitFor();
    const bell = page.getByRole("button", { name: /^Notifications/ });
    await bell.waitFor();
    const before = await bell.getAttribute("aria-label");
    const { jobId } = await api().commit("usr_second", [{ pfaId: "106", delta: { model: "Before the stream" } }]);
    await api().untilEnded(jobId);
    await api().until<{ notifications: { jobId: string | null }[] }>(
      "/api/pems/notifications",
      ({ notifications }) => notifications.some((notification) => notification.jobId === jobId),
      "usr_second",
    );
    expect(await bell.getAttribute("aria-label")).toBe(before);
    release();
    await page.getByRole("gridcell", { name: "Before the stream" }).waitFor();
    await page.getByRole("button", { name: /^Notifications, \d+ unread/ }).waitFor();
    await expect.poll(() => bell.getAttribute("aria-label")).not.toBe(before);
  });

  it("shows what happened while its event stream was cut, without being loaded again", async () => {
    const way = await wayTo(api().port);
    const page = await open("/records?org=RIO&q=pfa:100,101");
    await page.route("**/api/pems/events*", async (route) => {
      // The stream goes by the way that can be cut, everything else directly.
      await route.continue({ url: route.request().url().replace(`:${api().port}`, `:${way.port}`) });
    });
    await page.reload();
    await untilLive(page);
    const row = page
      .getByRole("row")
      .filter({ has: page.getByRole("checkbox", { name: "Select record 100", exact: true }) });
    await row.getByText("Synced").waitFor();
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    way.cut();
    await page.locator("[data-live=lost]").waitFor();
    await page.getByText(/Connection lost, numbers of/).waitFor();
    const { jobId } = await api().commit("usr_second", [
      { pfaId: "100", delta: { model: "Changed while the stream was cut" } },
    ]);
    await api().untilEnded(jobId);
    await untilLive(page);
    await row.getByText("Changed while the stream was cut").waitFor();
    expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
    way.close();
  });

  it("shares one event stream with the other tabs of the browser, and takes it over when its tab closes", async () => {
    const first = await open("/records?org=RIO&q=pfa:105");
    await untilLive(first);
    const streams: string[] = [];
    first.context().on("request", (request) => {
      if (request.url().includes("/api/pems/events")) streams.push(request.url());
    });
    const second = await first.context().newPage();
    await go(second, "/records?org=RIO&q=pfa:105");
    await second.getByRole("gridcell", { name: "LTM 1100" }).waitFor();
    await api().untilEnded(
      (await api().commit("usr_second", [{ pfaId: "105", delta: { model: "Seen by both" } }])).jobId,
    );
    for (const page of [first, second]) await page.getByRole("gridcell", { name: "Seen by both" }).waitFor();
    expect(streams).toEqual([]);
    await first.close();
    await expect.poll(() => streams.length, { timeout: 10_000 }).toBe(1);
    await api().untilEnded(
      (await api().commit("usr_second", [{ pfaId: "105", delta: { model: "Seen by the second" } }])).jobId,
    );
    await second.getByRole("gridcell", { name: "Seen by the second" }).waitFor();
  });

  it("goes on by itself after the service was restarted", async () => {
    const page = await open("/records?org=RIO&q=pfa:102");
    await untilLive(page);
    const { port } = api();
    await api().stop();
    await page.locator("[data-live=lost]").waitFor();
    replaceService(await Service.start(port));
    await untilLive(page);
    const { jobId } = await api().commit("usr_editor", [{ pfaId: "102", delta: { model: "After the restart" } }]);
    await api().untilEnded(jobId);
    await page.getByRole("gridcell", { name: "After the restart" }).waitFor();
  });

  it("tells the second of two users who resolve one conflict what the first one did", async () => {
    await editInPems("103", { monthlyRate: 11_000 });
    await api().commit("usr_editor", [{ pfaId: "103", delta: { monthlyRate: 13_000 } }]);
    const { conflicts } = await api().until<{ conflicts: { conflictId: string }[] }>(
      "/api/pems/conflicts?pfaId=103",
      ({ conflicts }) => conflicts.length === 1,
    );
    const path = `/conflicts/${conflicts[0]?.conflictId}`;
    const first = await open(path);
    const second = await open(path, { user: "usr_second" });
    for (const page of [first, second]) await page.getByRole("radiogroup", { name: "Monthly rate" }).waitFor();
    await first.keyboard.press("y");
    await second.keyboard.press("p");
    await first.keyboard.press("Enter");
    await first.getByText("Conflict of record 103 is resolved").waitFor();
    await second.getByText("This conflict is resolved").waitFor();
    await api().until<{ states: string[] }>(
      "/api/pfa-data/records/103?organizationId=RIO",
      ({ states }) => states.join() === "synced",
    );
    expect((await inPems("103")).monthlyRate).toBe(13_000);
  });

  it("shows a record that moved under an open resolver, and keeps what still holds", async () => {
    await editInPems("104", { monthlyRate: 11_000, model: "PEMS' first" });
    await api().commit("usr_editor", [{ pfaId: "104", delta: { monthlyRate: 13_000, model: "Ours" } }]);
    const { conflicts } = await api().until<{ conflicts: { conflictId: string }[] }>(
      "/api/pems/conflicts?pfaId=104",
      ({ conflicts }) => conflicts.length === 1,
    );
    const page = await open(`/conflicts/${conflicts[0]?.conflictId}`);
    await page.getByRole("radiogroup", { name: "Model" }).waitFor();
    await page.keyboard.press("y");
    // Another edit of the record, which PEMS confirms, moves it.
    const { jobId } = await api().commit("usr_second", [{ pfaId: "104", delta: { model: "Another user's" } }]);
    await api().untilEnded(jobId);
    await page.keyboard.press("Enter");
    await page.getByText(/The record moved while this page was open: Model/).waitFor();
    await page
      .getByRole("radiogroup", { name: "Model" })
      .getByRole("radio", { name: /PEMS: Another user's/ })
      .waitFor();
    const rate = page.getByRole("radiogroup", { name: "Monthly rate" }).getByRole("radio", { name: /^Yours/ });
    expect(await rate.getAttribute("aria-checked")).toBe("true");
    expect((await inPems("104")).monthlyRate).toBe(11_000);
    await page.keyboard.press("p");
    await page.keyboard.press("Enter");
    await page.getByText("Conflict of record 104 is resolved").waitFor();
  });
});
