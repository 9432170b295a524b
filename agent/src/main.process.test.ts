import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runAgent, startAgent } from "../test/agent-process.ts";
import { type FakeControlPlane, startFakeControlPlane } from "../test/fake-control-plane.ts";

let folder: string;
let controlPlane: FakeControlPlane;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "dflow-main-"));
  controlPlane = await startFakeControlPlane({ heartbeatMs: 500 });
});
afterAll(async () => {
  await controlPlane.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("says how it is used, and what is missing or wrong, in one line and with code 2", async () => {
  const asked = await Promise.all([
    runAgent([]),
    runAgent(["enrol", "--data-dir", folder]),
    runAgent(["run"]),
    runAgent(["run", "--token", "jt1.secret"]),
  ]);
  expect(asked.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
  expect(asked[0]?.stderr).toContain("agent enrol --url");
  expect(asked[1]?.stderr).toBe("error: --url is missing\n");
  expect(asked[3]?.stderr).not.toContain("jt1.secret");
});

test("says that a folder is not enrolled with code 4, and names a wrong setting with code 2", async () => {
  const empty = join(folder, "empty");
  expect(await runAgent(["run", "--data-dir", empty])).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("not enrolled"),
  });
  const wrong = mkdtempSync(join(folder, "wrong-"));
  writeFileSync(join(wrong, "config.json"), '{"concurrency": 0}');
  const { code, stderr } = await runAgent(["run", "--data-dir", wrong]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('"concurrency"')]);
});

test("enrols by a token from a file, connects, keeps a second agent off its folder, also after kill -9, and stops cleanly", async () => {
  const dataDir = join(folder, "data");
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, `${controlPlane.token}\n`);
  const enrolled = await runAgent([
    "enrol",
    "--url",
    controlPlane.url,
    "--data-dir",
    dataDir,
    "--token-file",
    tokenFile,
  ]);
  expect(enrolled).toMatchObject({ code: 0, stdout: expect.stringContaining('Enrolled as "test-server"') });

  const first = startAgent(["run", "--data-dir", dataDir]);
  await controlPlane.connected(1);
  const second = await runAgent(["run", "--data-dir", dataDir]);
  expect(second).toMatchObject({ code: 3, stderr: expect.stringContaining("another agent runs") });

  first.child.kill("SIGKILL");
  await first.ended;
  const third = startAgent(["run", "--data-dir", dataDir]);
  await controlPlane.connected(2);
  await controlPlane.until(() => controlPlane.frames.findLast((frame) => frame.type === "state"));
  expect(await runAgent(["status", "--data-dir", dataDir])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^"test-server" at http.*: online since 20/),
  });
  const commandLine = readFileSync(`/proc/${third.child.pid}/cmdline`, "utf8");
  expect(commandLine).not.toContain("jt1.");
  third.child.kill("SIGTERM");
  const ended = await third.ended;
  expect(ended.code).toBe(0);
  expect(ended.stdout).toContain("databases keep running");
  expect(await runAgent(["status", "--data-dir", dataDir])).toMatchObject({
    code: 5,
    stderr: expect.stringContaining("not running"),
  });
});
test("connects and says so when Docker does not answer", async () => {
  const dataDir = join(folder, "data");
  writeFileSync(join(dataDir, "config.json"), JSON.stringify({ dockerSocket: "/run/no-docker-here.sock" }));
  controlPlane.frames.length = 0;
  const agent = startAgent(["run", "--data-dir", dataDir]);
  const auth = await controlPlane.until(() => controlPlane.frames.find((frame) => frame.type === "auth"));
  expect(auth).toBeDefined();
  expect(await controlPlane.until(() => controlPlane.frames.find((frame) => frame.type === "state"))).toMatchObject({
    data: { full: true },
  });
  expect(await controlPlane.until(() => controlPlane.frames.find((frame) => frame.type === "heartbeat"))).toMatchObject(
    {
      data: { dockerOk: false, observedAgeMs: null },
    },
  );
  agent.child.kill("SIGTERM");
  expect((await agent.ended).stdout).toContain("Docker does not answer");
});
