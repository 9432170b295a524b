/** Two kinds of test: `unit` (no Docker, parallel) and `e2e` (real Docker, databases and browser, one file after the other). */
import { defineConfig } from "vitest/config";

const END_TO_END = ["test/**/*.e2e.test.ts", "{agent,control-plane}/**/*.{docker,process}.test.ts"];

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "{protocol,agent,control-plane}/**/*.test.ts",
            "control-plane/web/**/*.test.tsx",
            "test/**/*.test.ts",
          ],
          exclude: ["**/node_modules/**", "dist/**", ...END_TO_END],
          sequence: { groupOrder: 0 },
          // No module of ours keeps state (test/arch holds that), so files share what they import.
          isolate: false,
          // Half of their time is waiting: a core left idle for the screen is a core lost.
          maxWorkers: "100%",
          testTimeout: 15_000,
        },
      },
      {
        test: {
          name: "e2e",
          include: END_TO_END,
          exclude: ["**/node_modules/**", "dist/**"],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
