import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { deploy, imageOf, newId, PASSWORD, remove, restart, serviceSpec, stop } from "../../test/commands.ts";
import { cli, leftovers, realClock, realDocker, sweep } from "../../test/real-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";

const agentId = newId();
const NOTHING = { containers: [], volumes: [], networks: [] };
let rig: Rig;

beforeAll(() => {
  rig = newRig();
});
// What a failed test left must not fail the next one.
afterEach(() => sweep(agentId));
afterAll(() => rig.dispose());

function newRig(folder?: string): Rig {
  const docker = {} as ReturnType<typeof realDocker>;
  const made = createRig({
    clock: realClock,
    docker,
    agentId,
    folder,
    readyTimeoutMs: 60_000,
    stopGraceMs: 10_000,
    networkRange: "10.219.0.0/16",
  });
  // The folder is made by the rig, and the policy needs it.
  Object.assign(docker, realDocker(agentId, made.deps.servicesDir));
  return made;
}

const containerOf = (serviceId: string) => cli("ps", "-aq", "--filter", `label=sh.dflow.service=${serviceId}`);
const query = (container: string, sql: string, database: string) =>
  cli("exec", container, "psql", "-XAtq", "-U", "postgres", "-d", database, "-c", sql);

for (const version of ["15", "17", "18"]) {
  test(`deploys Postgres ${version}, keeps its rows over stop and restart, and deletes it without a trace`, async () => {
    const spec = serviceSpec({ ...imageOf(version), name: "orders-db" });
    const deployed = await rig.run(deploy(spec));
    expect(deployed).toMatchObject({ state: "succeeded" });
    // How small our own share is, is measured by `npm run bench`.
    expect(deployed.timings?.ownMs).toBeLessThan(deployed.timings?.totalMs ?? 0);
    const container = containerOf(spec.serviceId);
    query(container, "create table t as select 7 as n", "orders_db");

    const inspected = JSON.parse(cli("inspect", container))[0];
    expect(JSON.stringify(inspected)).not.toContain(PASSWORD);
    expect(inspected.NetworkSettings.Ports).not.toHaveProperty("5432/tcp.0");
    expect(inspected.HostConfig).toMatchObject({
      RestartPolicy: { Name: "unless-stopped" },
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      ShmSize: 256 * 1024 * 1024,
      LogConfig: { Type: "local" },
    });
    // No other volume than ours: none that Docker made up for the image.
    const volumes = inspected.Mounts.filter((mount: { Type: string }) => mount.Type === "volume");
    expect(volumes).toMatchObject([{ Name: `dflow-vol-${spec.volumeId}` }]);

    expect((await rig.run(stop(spec, 2))).state).toBe("succeeded");
    expect(cli("inspect", "-f", "{{.State.Running}}", container)).toBe("false");
    expect((await rig.run(restart(spec, 3))).state).toBe("succeeded");
    expect(query(container, "select n from t", "orders_db")).toBe("7");

    const limited = { ...spec, memoryBytes: 256 * 1024 * 1024 };
    expect((await rig.run(restart(limited, 4))).state).toBe("succeeded");
    const replaced = containerOf(spec.serviceId);
    expect(cli("inspect", "-f", "{{.HostConfig.Memory}}", replaced)).toBe(String(limited.memoryBytes));
    expect(query(replaced, "select n from t", "orders_db")).toBe("7");

    expect((await rig.run(remove(spec, 5, true))).state).toBe("succeeded");
    expect(leftovers(agentId)).toEqual(NOTHING);
  });
}

test("accepts the password over TCP from another container of the environment, by the service's name", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "shop" });
  await rig.run(deploy(spec));
  const url = `postgres://postgres:${PASSWORD}@shop:5432/shop`;
  const asked = ["run", "--rm", "--network", `dflow-env-${spec.environmentId}`, "--entrypoint", "psql", spec.image];
  expect(cli(...asked, "-XAtq", url, "-c", "select 'yes'")).toBe("yes");
  expect(() => cli(...asked, url.replace(PASSWORD, "wrong"), "-c", "select 1")).toThrow("authentication failed");
  await rig.run(remove(spec, 2, true));
});

test("fails with the exit code and last words of a container that ends, and leaves nothing", async () => {
  const spec = serviceSpec({ image: "dflow-test/exits:1", standIn: true });
  const command = deploy(spec);
  const outcome = await rig.run(command);
  expect(outcome.failure).toMatchObject({ code: "container_exited", message: expect.stringContaining("code 3") });
  expect(rig.lines(command.operationId)).toContain("output fatal: the data folder is not usable");
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("fails when the database never becomes ready, and leaves nothing", async () => {
  const spec = serviceSpec({ image: "dflow-test/never-ready:1", standIn: true });
  rig.deps.readyTimeoutMs = 3_000;
  const command = deploy(spec);
  const outcome = await rig.run(command);
  rig.deps.readyTimeoutMs = 60_000;
  expect(outcome.failure?.code).toBe("not_ready");
  expect(rig.lines(command.operationId)).toContain("output waiting for something that never comes");
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("says out_of_memory when the memory limit ends the first start", async () => {
  const spec = serviceSpec({ ...imageOf("17"), memoryBytes: 16 * 1024 * 1024 });
  const outcome = await rig.run(deploy(spec));
  expect(["out_of_memory", "container_exited"]).toContain(outcome.failure?.code);
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("names the registry's trouble when an image cannot be pulled", async () => {
  const spec = serviceSpec({ image: "127.0.0.1:1/none:1" });
  const outcome = await rig.run(deploy(spec));
  expect(outcome.failure).toMatchObject({ code: "image_pull_failed", message: expect.stringContaining("127.0.0.1:1") });
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("wipes a volume whose init was cut in the middle, and ends with a whole database", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "half" });
  const command = deploy(spec);
  rig.receive(command);
  // As after kill -9 in the middle of initdb: the container is gone, the volume is half made, the agent is new.
  await until(() => cli("exec", containerOf(spec.serviceId), "test", "-e", `/var/lib/postgresql/17/docker/PG_VERSION`));
  await rig.runner.stop();
  cli("rm", "-f", containerOf(spec.serviceId));
  rig.journal.close();
  rig = newRig(rig.folder);
  rig.runner.resume();
  expect((await rig.outcome(command.operationId)).state).toBe("succeeded");
  expect(rig.lines(command.operationId).some((line) => line.includes("wiped"))).toBe(true);
  expect(query(containerOf(spec.serviceId), "select current_database()", "half")).toBe("half");
  await rig.run(remove(spec, 2, true));
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("stops a database whose volume was replaced by another", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "mine" });
  await rig.run(deploy(spec));
  const volume = `dflow-vol-${spec.volumeId}`;
  const clear = ["run", "--rm", "-v", `${volume}:/v`, "--entrypoint", "rm", spec.image, "-rf", "/v/17"];
  await rig.run(stop(spec, 2));
  cli(...clear);
  const outcome = await rig.run(restart(spec, 3));
  expect(outcome.failure?.code).toBe("identity_mismatch");
  expect(cli("inspect", "-f", "{{.State.Running}}", containerOf(spec.serviceId))).toBe("false");
  await rig.run(remove(spec, 4, true));
});

test("refuses a restart when the volume is gone", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "gone" });
  await rig.run(deploy(spec));
  cli("rm", "-f", containerOf(spec.serviceId));
  cli("volume", "rm", `dflow-vol-${spec.volumeId}`);
  expect((await rig.run(restart(spec, 2))).failure?.code).toBe("volume_missing");
  await rig.run(remove(spec, 3, true));
  expect(leftovers(agentId)).toEqual(NOTHING);
});

test("cancels a deploy and leaves nothing", async () => {
  const spec = serviceSpec({ image: "dflow-test/never-ready:1", standIn: true });
  const command = deploy(spec);
  rig.receive(command);
  await until(() => containerOf(spec.serviceId) !== "" || undefined);
  rig.runner.cancel(command.operationId);
  expect((await rig.outcome(command.operationId)).state).toBe("cancelled");
  expect(leftovers(agentId)).toEqual(NOTHING);
});

/** Polls the CLI until it answers without an error. */
async function until(look: () => unknown, timeoutMs = 30_000): Promise<void> {
  const endMs = realClock.monotonicMs() + timeoutMs;
  for (;;) {
    try {
      if (look() !== undefined) return;
    } catch (error) {
      if (realClock.monotonicMs() > endMs) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("makes an earlier version's network anew when nothing runs in it, and keeps one that is in use", async () => {
  const spec = serviceSpec({ ...imageOf("17"), name: "orders" });
  const name = `dflow-env-${spec.environmentId}`;
  const labels = ["--label", `sh.dflow.agent=${agentId}`];
  cli("network", "create", "--subnet", "10.219.200.0/26", ...labels, name);
  expect(await rig.run(deploy(spec))).toMatchObject({ state: "succeeded" });
  expect(cli("network", "inspect", "-f", "{{.Internal}}", name)).toBe("true");
  await rig.run(remove(spec, 2, true));

  cli("network", "create", "--subnet", "10.219.200.0/26", ...labels, name);
  const user = cli("run", "-d", ...labels, "--network", name, "--ip", "10.219.200.50", "dflow-test/never-ready:1");
  const again = deploy({ ...spec, serviceId: newId(), volumeId: newId() });
  expect(await rig.run(again)).toMatchObject({ state: "succeeded" });
  expect(cli("network", "inspect", "-f", "{{.Internal}}", name)).toBe("false");
  expect(rig.lines(again.operationId).find((line) => line.startsWith("warn"))).toMatch(/it lets traffic out.*in use/);
  cli("rm", "-f", user);
});
