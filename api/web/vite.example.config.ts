import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The example of a host, for `npm run example`, and its build for the tests in a browser. */
export default defineConfig({
  root: "example",
  plugins: [react(), tailwind()],
  build: { outDir: "dist", emptyOutDir: true },
});
