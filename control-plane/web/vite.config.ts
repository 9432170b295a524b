/** Builds the dashboard into dist/web, from where the control plane serves it. */
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The shared language only defines things: a module of it that nobody uses is left out. */
const leaveOutUnused = {
  treeshake: { moduleSideEffects: [{ test: /\/protocol\/src\//, sideEffects: false }] },
};

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: { zod: fileURLToPath(new URL("src/zod-left-out.ts", import.meta.url)) },
  },
  build: {
    outDir: "../../dist/web",
    emptyOutDir: true,
    target: "es2023",
    // The page's policy allows nothing but files of its own origin: no data: URLs, no preload polyfill.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: leaveOutUnused,
  },
  worker: { format: "es", rolldownOptions: leaveOutUnused },
  server: { proxy: { "/api": "http://127.0.0.1:3100" } },
});
