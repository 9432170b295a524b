import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFiles, createProcesses } from "../platform.ts";
import { readLinkState, writeLinkState } from "./link-state.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5);
const files = createFiles();
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-link-"));
  path = join(folder, "link.json");
});
afterEach(() => rmSync(folder, { recursive: true }));

const processes = (identities: Record<number, string>) => ({ pid: 7, identityOf: (pid: number) => identities[pid] });

test("says what the running agent said last, and when", () => {
  const running = processes({ 7: "boot:7:100" });
  writeLinkState(files, path, running, true, AT);
  expect(readLinkState(files, path, running)).toEqual({ state: "online", since: "2026-01-02T03:04:05.000Z" });
  writeLinkState(files, path, running, false, AT);
  expect(readLinkState(files, path, running)).toMatchObject({ state: "offline" });
});

test("never takes the word of a process that is gone, even when its pid was given to another", () => {
  writeLinkState(files, path, processes({ 7: "boot:7:100" }), true, AT);
  expect(readLinkState(files, path, processes({}))).toEqual({ state: "not running" });
  expect(readLinkState(files, path, processes({ 7: "boot:7:900" }))).toEqual({ state: "not running" });
  expect(readLinkState(files, join(folder, "none"), processes({}))).toEqual({ state: "not running" });
});

test("tells real processes apart", () => {
  const real = createProcesses();
  expect(real.identityOf(real.pid)).toBe(real.identityOf(real.pid));
  expect(real.identityOf(real.pid)).not.toBe(real.identityOf(1));
  expect(real.identityOf(2 ** 22 + 1)).toBeUndefined();
});
