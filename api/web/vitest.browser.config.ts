import { defineConfig } from "vitest/config";

/** The tests in a browser. tests/e2e/browser.rs starts the stack and runs them; one stack serves all, in this order. */
export default defineConfig({
  test: {
    environment: "node",
    include: ["browser/**/*.test.ts"],
    fileParallelism: false,
    isolate: false,
    // After a story that failed, the stack is not as the next ones expect it.
    bail: 1,
    testTimeout: 45_000,
    hookTimeout: 45_000,
    reporters: ["verbose"],
  },
});
