// The registry of the tests: each front really shows Docker the failure that it is named after.
import { spawn } from "node:child_process";
import { request } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { docker, tryDocker } from "./docker-engine.ts";
import { type Registry, startRegistry } from "./registry.ts";

let registry: Registry;
const pulled: string[] = [];

beforeAll(async () => {
  registry = await startRegistry({ docker });
});

afterAll(async () => {
  await registry.stop();
  for (const reference of pulled) await tryDocker(["rmi", reference]);
});

/** Pulls and returns what Docker said, as it said it. */
async function pull(reference: string): Promise<{ code: number | null; said: string }> {
  pulled.push(reference);
  const { code, stdout, stderr } = await tryDocker(["pull", reference], { deadlineMs: 100_000 });
  return { code, said: stdout + stderr };
}

it("gives back what was pushed", async () => {
  const reference = await registry.pushFresh("whole:1", [200_000]);
  expect((await tryDocker(["image", "inspect", reference])).code).toBe(1);
  const { code, said } = await pull(reference);
  expect(code).toBe(0);
  expect(said).toContain("Pull complete");
});

it("answers 401 with and without a challenge, which Docker tells apart", async () => {
  await registry.pushFresh("private:1", [1000]);
  const asked = await registry.front({ kind: "unauthorized", challenge: "basic" });
  const silent = await registry.front({ kind: "unauthorized", challenge: "none" });
  const withChallenge = await pull(`${asked.address}/private:1`);
  const without = await pull(`${silent.address}/private:1`);
  expect(withChallenge.code).toBe(1);
  expect(withChallenge.said).toContain("no basic auth credentials");
  expect(without.code).toBe(1);
  expect(without.said).toContain("unauthorized");
  expect(without.said).not.toContain("no basic auth credentials");
});

it("answers 404 for every manifest", async () => {
  await registry.pushFresh("gone:1", [1000]);
  const front = await registry.front({ kind: "no-manifest" });
  const { code, said } = await pull(`${front.address}/gone:1`);
  expect(code).toBe(1);
  expect(said).toMatch(/manifest unknown|not found/);
});

it("cuts a layer in the middle, after which Docker resumes", async () => {
  await registry.pushFresh("cut:1", [3_000_000]);
  const front = await registry.front({ kind: "cut", atByte: 1_000_000, times: 1 });
  const { code, said } = await pull(`${front.address}/cut:1`);
  expect(said).toContain("Retrying in");
  expect(code).toBe(0);
});

it("slows layers down, so that progress can be seen", async () => {
  await registry.pushFresh("slow:1", [1_000_000, 500_000]);
  const front = await registry.front({ kind: "throttle", bytesPerSecond: 500_000 });
  const before = performance.now();
  const steps = await progress(`${front.address}/slow:1`);
  expect(performance.now() - before).toBeGreaterThan(1_800);
  const layers = new Set(steps.map((step) => step.id));
  expect(layers.size).toBe(2);
  for (const id of layers) expect(steps.filter((step) => step.id === id).length).toBeGreaterThan(3);
});

it("stops with its fronts while a pull is under way", async () => {
  const own = await startRegistry({ docker });
  await own.pushFresh("stuck:1", [5_000_000]);
  const front = await own.front({ kind: "throttle", bytesPerSecond: 10_000 });
  const client = spawn("docker", ["pull", `${front.address}/stuck:1`], { stdio: "ignore" });
  await expect.poll(() => front.requests.some((line) => line.includes("/blobs/")), { timeout: 10_000 }).toBe(true);
  const before = performance.now();
  await own.stop();
  await own.stop();
  expect(performance.now() - before).toBeLessThan(5_000);
  client.kill("SIGKILL");
});

/** The engine's own progress messages for a pull, which the client only prints to a terminal. */
async function progress(reference: string): Promise<{ id: string; current: number }[]> {
  pulled.push(reference);
  const text = await new Promise<string>((resolve, reject) => {
    const path = `/images/create?fromImage=${encodeURIComponent(reference)}`;
    const asked = request({ socketPath: "/var/run/docker.sock", method: "POST", path }, async (response) => {
      let body = "";
      for await (const chunk of response.setEncoding("utf8")) body += chunk;
      resolve(body);
    });
    asked.on("error", reject).end();
  });
  const messages = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  return messages
    .filter((m) => m.status === "Downloading")
    .map((m) => ({ id: m.id, current: m.progressDetail.current }));
}
