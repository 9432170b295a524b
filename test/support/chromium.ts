/** How browser tests start the system's Chromium: without a sandbox of its own, and without looking for its maker. */
import type { LaunchOptions } from "playwright-core";

export const CHROMIUM: LaunchOptions = {
  executablePath: "/usr/bin/chromium",
  args: [
    ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  ],
};
