import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import optimizeLocales from "@react-aria/optimize-locales-plugin";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes each file of the build a second and a third time, compressed: pfa-api sends them as they are. */
function compressed(): Plugin {
  const ofDirectory = (directory: string): string[] =>
    readdirSync(directory).flatMap((name) => {
      const path = join(directory, name);
      return statSync(path).isDirectory() ? ofDirectory(path) : [path];
    });
  let output = "dist";
  return {
    name: "compressed",
    apply: "build",
    configResolved: (config) => {
      output = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const file of ofDirectory(output).filter((file) => /\.(js|css|svg)$/.test(file))) {
        const content = readFileSync(file);
        writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
        const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
        writeFileSync(`${file}.br`, brotliCompressSync(content, { params: quality }));
      }
    },
  };
}

/** Where `npm run dev` finds pfa-api. */
const api = process.env.PFA_API ?? "http://127.0.0.1:3100";

export default defineConfig({
  plugins: [react(), tailwind(), { ...optimizeLocales.vite({ locales: ["en-US"] }), enforce: "pre" }, compressed()],
  build: { manifest: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: Object.fromEntries(["/api", "/openapi.json", "/docs"].map((path) => [path, api])) },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}", "package/**/*.test.tsx"],
    setupFiles: ["src/testing.ts"],
    testTimeout: 60_000,
  },
});
