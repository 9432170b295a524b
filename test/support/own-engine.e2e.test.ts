/** The engine that tests may kill: what it keeps, what it loses, and that nothing of it stays behind. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { docker } from "./docker-engine.ts";
import { type OwnEngine, startOwnEngine, whyNoOwnEngine } from "./own-engine.ts";
import { clientImage } from "./product.ts";
import { until } from "./until.ts";

let engine: OwnEngine;
const obstacle = whyNoOwnEngine();
beforeAll(async () => {
  if (obstacle === undefined) engine = await startOwnEngine([clientImage()]);
});
beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));
afterAll(() => engine?.remove());

const run = (...args: string[]) => docker(args, { env: engine.env });
const runs = async (name: string) => (await run("inspect", "--format", "{{.State.Running}}", name)) === "true";
const start = (name: string) =>
  run(
    ...["run", "--detach", "--init", "--name", name, "--restart", "unless-stopped"],
    ...["--entrypoint", "sleep", clientImage(), "600"],
  );

it("is apart from the machine's engine, which sees nothing of its containers", async () => {
  await start("kept");
  await start("ended");
  await run("stop", "--time", "0", "ended");
  const seen = await docker(["ps", "--all", "--no-trunc", "--quiet"]);
  expect(seen).not.toContain(await run("inspect", "--format", "{{.Id}}", "kept"));
});

it("comes back after kill -9 of the daemon over the containers that went on running meanwhile", async () => {
  const init = Number(await run("inspect", "--format", "{{.State.Pid}}", "kept"));
  await engine.kill("daemon");
  expect(existsSync(`/proc/${init}`)).toBe(true);
  await expect(run("ps")).rejects.toThrow(/daemon/);
  await engine.start();
  expect(await run("ps", "--all", "--format", "{{.Names}}")).toMatch(/kept/);
  expect(await runs("ended")).toBe(false);
});

it("comes back after all of it was killed, and starts what its policy covers", async () => {
  await run("start", "kept");
  const startedAt = () => run("inspect", "--format", "{{.State.StartedAt}}", "kept");
  const before = await startedAt();
  await engine.kill("everything");
  await engine.start();
  await until("its container runs", () => runs("kept"));
  expect(await startedAt()).not.toBe(before);
  expect(await runs("ended")).toBe(false);
});

it("leaves no process, mount, namespace or file behind", async () => {
  const home = engine.socketPath.replace(/\/docker\.sock$/, "");
  await engine.remove();
  expect(existsSync(home)).toBe(false);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(home);
  expect(execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })).not.toContain(home);
  expect(execFileSync("ip", ["netns", "list"], { encoding: "utf8" })).not.toContain(basename(home));
});
