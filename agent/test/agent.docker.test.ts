import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, runAgent, startAgent } from "./agent-process.ts";
import { deploy, imageOf, PASSWORD, remove, restart, serviceSpec, stop } from "./commands.ts";
import { type FakeControlPlane, startFakeControlPlane } from "./fake-control-plane.ts";
import { cli, leftovers, sweep } from "./real-docker.ts";

const folder = mkdtempSync(join(tmpdir(), "dflow-agent-"));
let controlPlane: FakeControlPlane;
let agent: Running;
let agentId: string;
const outputs: string[] = [];

beforeAll(async () => {
  controlPlane = await startFakeControlPlane({ heartbeatMs: 1_000, deadlineMs: 5_000 });
  writeFileSync(join(folder, "config.json"), JSON.stringify({ networkRange: "10.220.0.0/16", stopGraceMs: 10_000 }));
  await runAgent(["enrol", "--url", controlPlane.url, "--data-dir", folder], controlPlane.token);
  agentId = JSON.parse(readFileSync(join(folder, "agent.json"), "utf8")).agentId;
  await startAndConnect();
});
afterAll(async () => {
  agent.child.kill("SIGKILL");
  await controlPlane.stop();
  sweep(agentId);
  rmSync(folder, { recursive: true, force: true });
});

async function startAndConnect(): Promise<void> {
  agent = startAgent(["run", "--data-dir", folder]);
  await controlPlane.connected(controlPlane.state.session + 1);
}

async function killAndStart(): Promise<void> {
  agent.child.kill("SIGKILL");
  outputs.push((await agent.ended).stdout);
  await startAndConnect();
}

const stateOf = (serviceId: string) =>
  controlPlane.frames
    .flatMap((frame) => (frame.type === "state" ? frame.data.services : []))
    .findLast((service) => service.serviceId === serviceId)?.observation;
const sees = (serviceId: string, state: string, timeoutMs?: number) =>
  controlPlane.until(() => (stateOf(serviceId)?.state === state ? stateOf(serviceId) : undefined), timeoutMs);
const logText = () => controlPlane.logData.map(({ payload }) => Buffer.from(payload).toString()).join("");
const textOf = (operationId: string) => (controlPlane.logs.get(operationId) ?? []).map(({ text }) => text);

test("runs a database's life over the link, every line and every state told", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "orders" });
  const first = deploy(spec);
  controlPlane.command(first);
  const deployed = await controlPlane.result(first.operationId, 60_000);
  expect(deployed).toMatchObject({ state: "succeeded" });
  expect(controlPlane.logs.get(first.operationId)).toHaveLength(deployed.lineCount);
  await sees(spec.serviceId, "running");
  await controlPlane.until(() => (stateOf(spec.serviceId)?.evidence.includes("passes") ? true : undefined), 30_000);

  controlPlane.send({
    type: "log_open",
    data: { streamId: 5, serviceId: spec.serviceId, follow: true, tail: 3, creditBytes: 2_000 },
  });
  await controlPlane.until(() => (logText().includes("ready to accept connections") ? true : undefined));
  const container = cli("ps", "-q", "--filter", `label=sh.dflow.service=${spec.serviceId}`);
  const shout = (count: number) =>
    cli(
      "exec",
      container,
      "psql",
      "-XAtq",
      "-U",
      "postgres",
      "-d",
      "orders",
      "-c",
      `do $$ begin for i in 1..${count} loop raise log 'line %', i; end loop; end $$`,
    );
  shout(200);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sentBytes = () => controlPlane.logData.reduce((sum, { payload }) => sum + payload.length, 0);
  expect(sentBytes()).toBeLessThanOrEqual(2_000);
  controlPlane.send({ type: "log_credit", data: { streamId: 5, bytes: 1_000_000 } });
  await controlPlane.until(() => (logText().includes("line 200") ? true : undefined));
  expect([...logText().matchAll(/LOG: {2}line (\d+)/g)].map(([, n]) => Number(n))).toEqual(
    Array.from({ length: 200 }, (_, n) => n + 1),
  );

  const second = restart(spec, 2);
  controlPlane.command(second);
  expect((await controlPlane.result(second.operationId, 30_000)).state).toBe("succeeded");
  shout(1);
  await controlPlane.until(() => (logText().split("ready to accept connections").length >= 3 ? true : undefined));
  controlPlane.send({ type: "log_close", data: { streamId: 5, reason: "viewer_left" } });
  await controlPlane.until(() => {
    const beat = controlPlane.frames.findLast((frame) => frame.type === "heartbeat");
    return beat?.type === "heartbeat" && beat.data.streams === 0 ? true : undefined;
  });

  const third = stop(spec, 3);
  controlPlane.command(third);
  expect((await controlPlane.result(third.operationId, 30_000)).state).toBe("succeeded");
  expect(await sees(spec.serviceId, "exited")).toMatchObject({ exitCode: 0 });
  controlPlane.logData.length = 0;
  controlPlane.send({
    type: "log_open",
    data: { streamId: 6, serviceId: spec.serviceId, follow: false, tail: 5, creditBytes: 50_000 },
  });
  await controlPlane.until(() =>
    controlPlane.frames.find((frame) => frame.type === "log_close" && frame.data.streamId === 6),
  );
  expect(logText()).toContain("database system is shut down");

  const last = remove(spec, 4, true);
  controlPlane.command(last);
  expect((await controlPlane.result(last.operationId, 30_000)).state).toBe("succeeded");
  expect(leftovers(agentId)).toEqual({ containers: [], volumes: [], networks: [] });
});

test("survives kill -9 in the middle of a deploy and finishes it once, with its whole log", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "crashes" });
  const command = deploy(spec);
  controlPlane.command(command);
  await controlPlane.until(() =>
    textOf(command.operationId).some((text) => text.includes("Waiting until")) ? true : undefined,
  );
  await killAndStart();
  const result = await controlPlane.result(command.operationId, 60_000);
  expect(result.state).toBe("succeeded");
  expect(textOf(command.operationId).filter((text) => text.includes("restarted in the middle"))).toHaveLength(1);
  expect(controlPlane.logs.get(command.operationId)).toHaveLength(result.lineCount);
  expect(leftovers(agentId).containers).toHaveLength(1);
  const gone = remove(spec, 2, true);
  controlPlane.command(gone);
  await controlPlane.result(gone.operationId, 30_000);
});

test("keeps results and lines until they are acknowledged, over a cut link and kill -9", async () => {
  controlPlane.state.acknowledge = false;
  const spec = serviceSpec({ ...imageOf("17"), name: "unheard" });
  const command = deploy(spec);
  controlPlane.command(command);
  await controlPlane.result(command.operationId, 60_000);
  controlPlane.frames.length = 0;
  controlPlane.logs.clear();
  const session = controlPlane.state.session;
  controlPlane.cut();
  await controlPlane.connected(session + 1);
  const again = await controlPlane.result(command.operationId);
  expect(controlPlane.logs.get(command.operationId)).toHaveLength(again.lineCount);

  controlPlane.frames.length = 0;
  await killAndStart();
  await controlPlane.result(command.operationId);
  controlPlane.state.acknowledge = true;
  controlPlane.frames.length = 0;
  controlPlane.command(command);
  const ack = await controlPlane.until(() => controlPlane.frames.find((frame) => frame.type === "ack"));
  expect(ack.data).toMatchObject({ outcome: "duplicate" });
  await controlPlane.result(command.operationId);
  const gone = remove(spec, 2, true);
  controlPlane.command(gone);
  await controlPlane.result(gone.operationId, 30_000);
});

test("reports a container that somebody else stopped or removed", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "handled" });
  const command = deploy(spec);
  controlPlane.command(command);
  await controlPlane.result(command.operationId, 60_000);
  const container = cli("ps", "-q", "--filter", `label=sh.dflow.service=${spec.serviceId}`);
  cli("stop", container);
  await sees(spec.serviceId, "exited", 3_000);
  cli("rm", container);
  expect(await sees(spec.serviceId, "missing", 3_000)).toMatchObject({ volume: "present" });
  const gone = remove(spec, 2, true);
  controlPlane.command(gone);
  await controlPlane.result(gone.operationId, 30_000);
  expect(leftovers(agentId)).toEqual({ containers: [], volumes: [], networks: [] });
});

test("writes no secret into its log or its folder outside the secrets", () => {
  expect(outputs.join("") + agent.output()).not.toContain(PASSWORD);
  for (const name of ["journal.db", "journal.db-wal", "agent.json"]) {
    expect(readFileSync(join(folder, name)).includes(PASSWORD)).toBe(false);
  }
});
