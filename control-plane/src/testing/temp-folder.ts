/** A folder of a test's own, gone when the test is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Only inside a test or a `beforeEach`. */
export function tempFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `dflow-${name}-`));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
