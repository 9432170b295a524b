import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockDataDir } from "./lock.ts";

test("a data folder is held by one at a time", () => {
  const dir = mkdtempSync(join(tmpdir(), "dflow-lock-"));
  const release = lockDataDir(dir);
  expect(() => lockDataDir(dir, 0)).toThrow(`${dir} is in use`);
  release();
  lockDataDir(dir, 0)();
});
