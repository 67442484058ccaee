import optimizeLocales from "@react-aria/optimize-locales-plugin";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Builds @pfa-sync/react: one module and one style. React and the host's cache are the host's own. */
export default defineConfig({
  plugins: [react(), tailwind(), { ...optimizeLocales.vite({ locales: ["en-US"] }), enforce: "pre" }],
  publicDir: false,
  build: {
    outDir: "package/dist",
    lib: {
      entry: { index: "package/src/index.ts" },
      formats: ["es"],
      cssFileName: "styles",
    },
    rolldownOptions: { external: [/^react($|\/)/, /^react-dom($|\/)/, "@tanstack/react-query"] },
  },
});
