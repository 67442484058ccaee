// @vitest-environment node
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EVENT_TYPES } from "../audit/events";

it("the types of the API are those of docs/openapi.json", () => {
  const generated = join(mkdtempSync(join(tmpdir(), "schema-")), "schema.ts");
  const { generate } = JSON.parse(readFileSync("package.json", "utf8")).scripts as { generate: string };
  const [, ...parameters] = generate.split(" ");
  const at = parameters.indexOf("--output");
  parameters.splice(at, 2, "--output", generated);
  execFileSync("node_modules/.bin/openapi-typescript", parameters, { stdio: "pipe" });
  const isSame = readFileSync(generated, "utf8") === readFileSync("src/api/schema.ts", "utf8");
  expect(isSame, "make them anew: npm run generate").toBe(true);
});

it("the kinds of log entries are those of docs/reference/events.md", () => {
  const page = readFileSync("../../docs/reference/events.md", "utf8");
  expect(EVENT_TYPES).toEqual([...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name));
});
