import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createFiles } from "../platform.ts";
import { createOnceIntents, INTENTS_MAX } from "./once-intents.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "dflow-once-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return join(path, "once");
}

test("is known to the next run of the agent, also when it is said twice", () => {
  const path = folder();
  const first = createOnceIntents(createFiles(), path);
  expect(first.has("a")).toBe(false);
  first.add("a");
  first.add("a");
  expect(createOnceIntents(createFiles(), path).has("a")).toBe(true);
});

test("keeps the newest of too many", () => {
  const intents = createOnceIntents({ ...createFiles(), writeDurably: createFiles().overwrite }, folder());
  const ids = Array.from({ length: INTENTS_MAX + 2 }, (_, n) => String(n).padStart(8, "0"));
  for (const id of ids) intents.add(id);
  intents.sweep();
  expect(ids.filter((id) => !intents.has(id))).toEqual(ids.slice(0, 2));
});

test("says disk_full where there is no room for it", () => {
  const files = createFiles();
  const full = () => {
    throw new Error("ENOSPC: no space left on device, open");
  };
  const intents = createOnceIntents({ ...files, writeDurably: full }, folder());
  expect(() => intents.add("a")).toThrow(expect.objectContaining({ code: "disk_full" }));
});
