import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

type Chunk = { file: string; isEntry?: boolean; imports?: string[] };

/** Most JavaScript of the first view, compressed. */
const BUDGET = 250_000;

it("the first view takes at most 250 kB of JavaScript", () => {
  const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8")) as Record<string, Chunk>;
  const files = new Set<string>();
  const take = (chunk: Chunk | undefined) => {
    if (!chunk || files.has(chunk.file)) return;
    files.add(chunk.file);
    for (const name of chunk.imports ?? []) take(manifest[name]);
  };
  take(Object.values(manifest).find(({ isEntry }) => isEntry));
  const size = [...files].reduce((sum, file) => sum + gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length, 0);
  console.log(`first view: ${Math.round(size / 1000)} kB of JavaScript in ${files.size} files`);
  expect(files.size).toBeGreaterThan(0);
  expect(size).toBeLessThan(BUDGET);
});
