/** Builds the dashboard into dist/web, from where the control plane serves it. */
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The shared language only defines things: a module of it that nobody uses is left out. */
const leaveOutUnused = {
  treeshake: { moduleSideEffects: [{ test: /\/protocol\/src\//, sideEffects: false }] },
};

/** What sign-in and the first lists share comes as one file: a dozen of a kilobyte each cost more in headers. */
const FIRST = [
  /\/node_modules\/(@tanstack|openapi-fetch)\//,
  /\/src\/(api|clock|format|keys|paths|queries|theme|use-now)\.ts$/,
  /\/src\/ui\/(badge|button|classes|copy|describe-error|empty|field|problem|skeleton|table|toast|tooltip)\.tsx?$/,
  /\/src\/components\/(frame-context|live-dot|page|search-input|state-badge|use-first-rows|workspace)\.tsx?$/,
];

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
    rolldownOptions: {
      ...leaveOutUnused,
      output: {
        codeSplitting: {
          groups: [
            {
              name: "first",
              test: (id: string) => FIRST.some((pattern) => pattern.test(id)),
            },
          ],
        },
      },
    },
  },
  worker: { format: "es", rolldownOptions: leaveOutUnused },
  server: { proxy: { "/api": "http://127.0.0.1:3100" } },
});
