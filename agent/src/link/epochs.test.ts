import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createMemoryLog } from "../../test/memory-log.ts";
import type { Files } from "../deps.ts";
import { createFiles } from "../platform.ts";
import { createEpochs } from "./epochs.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-epochs-"));
  path = join(folder, "epoch.json");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (kid = "key 1", files: Files = createFiles()) =>
  createEpochs({ files, log: createMemoryLog(), path, kid, expendable: join(folder, "link.json") });

test("is 0 at first, and after that the last one that was kept, also for the next process", () => {
  expect(open().last()).toBe(0);
  const epochs = open();
  epochs.keep(1);
  epochs.keep(2);
  expect([epochs.last(), open().last()]).toEqual([2, 2]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("begins at 0 with a new key, whatever an older one has left behind", () => {
  open("key 1").keep(7);
  expect(open("key 2").last()).toBe(0);
  open("key 2").keep(1);
  expect([open("key 2").last(), open("key 1").last()]).toEqual([1, 0]);
});

test("is 0 when its file is damaged: the agent starts, and its control plane judges", () => {
  for (const damaged of ["", "{", '{"kid":"key 1"}', '{"kid":"key 1","epoch":-3}']) {
    writeFileSync(path, damaged);
    expect(open().last()).toBe(0);
  }
});

test("takes the room of a file that can be written anew when the disk is full, and fails without any", () => {
  writeFileSync(join(folder, "link.json"), "x");
  const real = createFiles();
  const full: Files = {
    ...real,
    writeDurably(to, text, mode) {
      if (readdirSync(folder).includes("link.json") || !hasRoom) throw new Error("ENOSPC: no space left on device");
      real.writeDurably(to, text, mode);
    },
  };
  let hasRoom = true;
  open("key 1", full).keep(5);
  expect([open().last(), readdirSync(folder)]).toEqual([5, ["epoch.json"]]);
  hasRoom = false;
  expect(() => open("key 1", full).keep(6)).toThrow("ENOSPC");
  expect(open().last()).toBe(5);
});
