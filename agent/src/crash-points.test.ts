import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../test/fake-clock.ts";
import { createFakeDocker } from "../test/fake-docker.ts";
import { createMemoryLog } from "../test/memory-log.ts";
import { databaseWithCrashPoints, dockerWithCrashPoints, filesWithCrashPoints } from "./crash-points.ts";
import { openDatabase } from "./journal/database.ts";
import { createFiles } from "./platform.ts";

let folder: string;
let passed: string[];
const pass = (name: string) => void passed.push(name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-crash-"));
  passed = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a Docker call that changes something has a place before and after it, one that looks has one before", async () => {
  const docker = dockerWithCrashPoints(createFakeDocker().docker, createFakeClock(), pass);
  await docker.createVolume("data", {});
  await docker.findVolume("data");
  await expect(docker.startContainer("nobody")).rejects.toThrow();
  expect(passed).toEqual([
    "docker.createVolume before",
    "docker.createVolume after",
    "docker.findVolume before",
    "docker.startContainer before",
    "docker.startContainer after",
  ]);
});

test("while Docker works on a change there is a place too", async () => {
  const clock = createFakeClock();
  const fake = createFakeDocker().docker;
  const slow = Promise.withResolvers<void>();
  const docker = dockerWithCrashPoints({ ...fake, createVolume: () => slow.promise }, clock, pass);
  const made = docker.createVolume("data", {});
  await clock.advance(10);
  expect(passed).toEqual(["docker.createVolume before", "docker.createVolume during"]);
  slow.resolve();
  await made;
  expect(passed.at(-1)).toBe("docker.createVolume after");
});

test("a file's places are named after the file and never after its folder", () => {
  const files = filesWithCrashPoints(createFiles(), pass);
  files.writeDurably(join(folder, "password"), "secret", 0o600);
  expect(files.readText(join(folder, "password"))).toBe("secret");
  files.remove(join(folder, "password"));
  expect(passed).toEqual([
    "file password write before",
    "file password write after",
    "file password remove before",
    "file password remove after",
  ]);
});

test("a journal write has two places; of a transaction only the commit has them", () => {
  const path = join(folder, "journal.db");
  const schema = "CREATE TABLE IF NOT EXISTS one (id TEXT) STRICT; CREATE TABLE IF NOT EXISTS two (id TEXT) STRICT;";
  const opened = openDatabase(
    { files: createFiles(), clock: createFakeClock(), log: createMemoryLog() },
    {
      path,
      schema,
      trials: [],
      onDamage: (error) => expect.unreachable(error.message),
    },
  );
  const database = databaseWithCrashPoints(opened, pass);
  database.run("INSERT OR REPLACE INTO one VALUES (?)", "a");
  database.transaction(() => {
    database.run("INSERT INTO one VALUES (?)", "b");
    database.run("DELETE FROM two WHERE id = ?", "a");
    expect(database.all("SELECT id FROM one")).toHaveLength(2);
  });
  database.close();
  expect(passed).toEqual([
    "journal insert one before",
    "journal insert one after",
    "journal commit(insert one, delete two) before",
    "journal commit(insert one, delete two) after",
  ]);
});
