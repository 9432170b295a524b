import { expect, test } from "vitest";
import { tempFolder } from "../testing/temp-folder.ts";
import { lockDataDir } from "./lock.ts";

test("a data folder is held by one at a time", () => {
  const dir = tempFolder("lock");
  const release = lockDataDir(dir);
  expect(() => lockDataDir(dir, 0)).toThrow(`${dir} is in use`);
  release();
  lockDataDir(dir, 0)();
});
