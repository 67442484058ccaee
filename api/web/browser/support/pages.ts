import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Service, tokenOf, type User } from "./service";

type Options = {
  user?: User;
  width?: number;
  height?: number;
  theme?: "light" | "dark";
  timezoneId?: string;
  locale?: string;
};

let browser: Browser;
let service: Service;
const contexts: BrowserContext[] = [];
/** What pages reported as wrong: errors of scripts, and violations of the content policy. */
const faults: string[] = [];

/** Starts browser and service for the tests of a file; each test fails if a page reported an error. */
export function withBrowser(): void {
  beforeAll(async () => {
    service = await Service.start();
    const args = [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ];
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(faults.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    await browser.close();
    await service.stop();
  });
}

/** The service of the file's tests. */
export const api = (): Service => service;

/** Another service, which tests may stop, takes the place of the file's. */
export function replaceService(other: Service): void {
  service = other;
}

/** Opens a page as a user who signs in by a link. */
export async function open(path: string, { user = "usr_editor", ...options }: Options = {}): Promise<Page> {
  const page = await newPage(options);
  await go(page, path, user);
  return page;
}

/** Opens a page that is not the dashboard's. */
export async function openElsewhere(address: string): Promise<Page> {
  const page = await newPage();
  await page.goto(address);
  return page;
}

/** A page that has no address yet. */
export async function newPage({ width = 1440, height = 900, theme = "light", ...rest }: Options = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, ...rest });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    // A request that the service refuses is reported by the browser, too; the page handles it.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      faults.push(message.text());
  });
  return page;
}

/** Opens another address of the dashboard in a page, as the same or another user. */
export async function go(page: Page, path: string, user: User = "usr_editor"): Promise<void> {
  await page.goto(`${service.address}${path}#token=${tokenOf(user)}`);
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  expect(page.url()).not.toContain("token");
}

/** The page hears the service. */
export const untilLive = (page: Page) => page.locator("[data-live=live]").waitFor();

/** Which rules are looked at: all, those of colours alone, or all but those. */
export type Rules = "all" | "colours" | "structure";

/** Fails when the page breaks a rule of WCAG 2.1 AA that axe knows. */
export async function expectAccessible(page: Page, rules: Rules = "all"): Promise<void> {
  const axe = new AxeBuilder({ page });
  if (rules === "colours") axe.withRules(["color-contrast"]);
  else axe.withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]);
  if (rules === "structure") axe.disableRules(["color-contrast"]);
  const { violations } = await axe.analyze();
  const found = violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join("\n")}`,
  );
  expect(found).toEqual([]);
}

/** Fails when the page is wider than its window. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(content).toBeLessThanOrEqual(window ?? 0);
}

/** Takes a picture for the user guide, if pictures are wanted (PICTURES names a directory). */
export async function picture(page: Page, name: string): Promise<void> {
  const directory = process.env.PICTURES;
  if (!directory) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`) });
}
