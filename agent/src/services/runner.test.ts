import { existsSync, readFileSync, statSync } from "node:fs";
import { AppError, type Command } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, PASSWORD, remove, restart, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import type { Outcome } from "../journal/journal.ts";
import { LABEL } from "./naming.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const spec = serviceSpec();

beforeEach(() => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(spec.image);
  rig = createRig({ clock, docker: fake.docker });
});
afterEach(() => rig.dispose());

/** Runs a command while time passes. */
async function run(command: Command, on: Rig = rig): Promise<Outcome> {
  return settle(on.run(command));
}
async function settle<T>(work: Promise<T>, stepMs = 100): Promise<T> {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  for (let turn = 0; turn < 5_000 && !over; turn += 1) await clock.advance(stepMs);
  return ended;
}

test("deploys a database and says each step", async () => {
  const command = deploy(spec);
  const outcome = await run(command);
  expect(outcome.state).toBe("succeeded");
  expect(
    rig.lines(command.operationId).map((line) => line.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d{18,}/g, "ID")),
  ).toMatchInlineSnapshot(`
    [
      "info Network dflow-env-ID: created, 10.218.0.0/26, without a way out",
      "info Image postgres:17-trixie: there already (sha256:ID)",
      "info Volume dflow-vol-ID: created",
      "info Container dflow-ID-1: created, address 10.218.0.2",
      "info Container dflow-ID-1: started",
      "info Waiting until postgres answers",
      "output starting",
      "info Ready: postgres answered 250 ms after the start",
      "info Identity of this database: ID",
      "info Done in 0.3 s",
    ]
  `);
  const container = fake.only();
  expect(container.policy).toBe("unless-stopped");
  expect(rig.journal.services.get(spec.serviceId)).toMatchObject({ desired: "running", everDeployed: true });
  expect(outcome.timings?.totalMs).toBe(
    (outcome.timings?.pullMs ?? 0) + (outcome.timings?.engineMs ?? 0) + (outcome.timings?.ownMs ?? 0),
  );
});

test("keeps the password in a file of its own, and out of the journal and the container's settings", async () => {
  await run(deploy(spec));
  const file = `${rig.folder}/services/${spec.serviceId}/secrets/postgres_password`;
  expect(readFileSync(file, "utf8")).toBe(PASSWORD);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(JSON.stringify(fake.only().spec)).not.toContain(PASSWORD);
  rig.journal.compact();
  for (const suffix of ["", "-wal"]) {
    expect(readFileSync(`${rig.folder}/journal.db${suffix}`).includes(PASSWORD)).toBe(false);
  }
});

test("answers the same command again with duplicate, and an older generation with stale_generation", async () => {
  const command = deploy(spec, 5);
  await run(command);
  expect(rig.receive(command).outcome).toBe("duplicate");
  expect(rig.receive(stop(spec, 5))).toMatchObject({ outcome: "rejected", failure: { code: "stale_generation" } });
});

test("refuses a deploy over a database that holds data", async () => {
  await run(deploy(spec));
  const outcome = await run(deploy(spec, 2));
  expect(outcome.failure?.code).toBe("already_deployed");
  expect(fake.only().state).toBe("running");
});

test("pulls an absent image and says the layers", async () => {
  fake.images.clear();
  fake.offer(spec.image);
  const command = deploy(spec);
  expect((await run(command)).state).toBe("succeeded");
  expect(rig.lines(command.operationId)).toContain("output abc: Pull complete");
});

test("leaves nothing behind when the image cannot be had", async () => {
  fake.images.clear();
  const outcome = await run(deploy(spec));
  expect(outcome.failure?.code).toBe("image_not_found");
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
});

test("fails at once when the container exits, with its last words in the log", async () => {
  fake.addImage(spec.image, { exits: { code: 3 }, says: ["fatal: cannot go on"] });
  const command = deploy(spec);
  const outcome = await run(command);
  expect(outcome.failure).toMatchObject({ code: "container_exited", message: expect.stringContaining("code 3") });
  expect(rig.lines(command.operationId)).toContain("output fatal: cannot go on");
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
});

test("says out_of_memory when the kernel ended it", async () => {
  fake.addImage(spec.image, { exits: { code: 137, oomKilled: true } });
  expect((await run(deploy(spec))).failure?.code).toBe("out_of_memory");
});

test("gives up after the time for becoming ready", async () => {
  fake.addImage(spec.image, { probesUntilReady: Number.POSITIVE_INFINITY });
  expect((await run(deploy(spec))).failure?.code).toBe("not_ready");
  expect(fake.volumes.size).toBe(0);
});

test("stops, starts again with the same identity, and takes a new memory limit by a new container", async () => {
  await run(deploy(spec));
  const [volume] = fake.volumes.values();
  expect((await run(stop(spec, 2))).state).toBe("succeeded");
  expect(fake.only().state).toBe("exited");
  expect(rig.journal.services.get(spec.serviceId)?.desired).toBe("stopped");
  expect((await run(restart(spec, 3))).state).toBe("succeeded");
  expect(fake.only().starts).toBe(2);
  const larger = { ...spec, memoryBytes: 512 * 1024 * 1024 };
  expect((await run(restart(larger, 4))).state).toBe("succeeded");
  expect(fake.only().spec.memoryBytes).toBe(larger.memoryBytes);
  expect(fake.only().spec.network.address).toBe("10.218.0.2");
  expect([...fake.volumes.values()]).toEqual([volume]);
});

test("makes a missing container anew over its volume", async () => {
  await run(deploy(spec));
  fake.containers.clear();
  expect((await run(restart(spec, 2))).state).toBe("succeeded");
  expect(fake.only().labels[LABEL.generation]).toBe("2");
});

test("refuses a restart without the data volume", async () => {
  await run(deploy(spec));
  fake.containers.clear();
  fake.volumes.clear();
  expect((await run(restart(spec, 2))).failure?.code).toBe("volume_missing");
  expect(fake.containers.size).toBe(0);
});

test("stops a database that came up with another identity", async () => {
  await run(deploy(spec));
  for (const volume of fake.volumes.values()) volume.identity = "1234";
  const outcome = await run(restart(spec, 2));
  expect(outcome.failure?.code).toBe("identity_mismatch");
  expect(fake.only().state).toBe("exited");
  expect(rig.journal.services.get(spec.serviceId)?.desired).toBe("stopped");
});

test("deletes and keeps the data unless told otherwise", async () => {
  await run(deploy(spec));
  const command = remove(spec, 2, false);
  expect((await run(command)).state).toBe("succeeded");
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 1, 0]);
  expect(rig.lines(command.operationId).some((line) => line.includes("was kept"))).toBe(true);
  expect((await run(remove(spec, 3, true))).state).toBe("succeeded");
  expect(fake.volumes.size).toBe(0);
  expect(existsSync(`${rig.folder}/services/${spec.serviceId}`)).toBe(false);
});

test("keeps the network while another service is in it", async () => {
  const other = serviceSpec({ environmentId: spec.environmentId, name: "audit" });
  const [first, second] = await Promise.all([run(deploy(spec)), run(deploy(other))]);
  expect([first.state, second.state]).toEqual(["succeeded", "succeeded"]);
  expect(fake.networks.size).toBe(1);
  const addresses = [...fake.containers.values()].map((one) => one.spec.network.address).toSorted();
  expect(addresses).toEqual(["10.218.0.2", "10.218.0.3"]);
  await run(remove(spec, 2, true));
  expect(fake.networks.size).toBe(1);
  await run(remove(other, 2, true));
  expect(fake.networks.size).toBe(0);
});

test("does not touch what another agent made under its name", async () => {
  const name = `dflow-${spec.serviceId}-1`;
  const foreign = { ...spec, serviceId: spec.serviceId };
  await run(deploy(foreign));
  const container = fake.only();
  container.labels = { ...container.labels, [LABEL.agent]: "somebody else" };
  const outcome = await run(stop(spec, 2));
  expect(outcome.failure).toMatchObject({ code: "policy_refused", message: expect.stringContaining(name) });
  expect(fake.only().state).toBe("running");
});

test("cancels what runs and what waits, and cleans up", async () => {
  fake.addImage(spec.image, { probesUntilReady: Number.POSITIVE_INFINITY });
  const command = deploy(spec);
  const next = stop(spec, 2);
  rig.receive(command);
  rig.receive(next);
  await clock.advance(1_000);
  rig.runner.cancel(next.operationId);
  rig.runner.cancel(command.operationId);
  expect((await settle(rig.outcome(command.operationId))).state).toBe("cancelled");
  expect((await settle(rig.outcome(next.operationId))).state).toBe("cancelled");
  expect([fake.containers.size, fake.volumes.size]).toEqual([0, 0]);
});

test("ends an operation that runs longer than it may", async () => {
  fake.addImage(spec.image, { probesUntilReady: Number.POSITIVE_INFINITY });
  const outcome = await run({ ...deploy(spec), runMs: 5_000 });
  expect(outcome).toMatchObject({ state: "failed", failure: { code: "timed_out" } });
});

test("drops an operation that could not begin in time", async () => {
  fake.addImage(spec.image, { probesUntilReady: 100 });
  rig.receive(deploy(spec));
  const late = { ...stop(spec, 2), startWithinMs: 500 };
  expect(await run(late)).toMatchObject({ state: "expired", failure: { code: "expired" } });
});

test("runs services side by side up to the limit", async () => {
  const two = createRig({ clock, docker: fake.docker, concurrency: 2 });
  fake.addImage(spec.image, { probesUntilReady: 20 });
  const commands = [1, 2, 3].map((n) => deploy(serviceSpec({ name: `db${n}` })));
  for (const command of commands) two.receive(command);
  await clock.advance(1_000);
  expect(two.runner.running()).toHaveLength(2);
  for (const { operationId } of commands) expect((await settle(two.outcome(operationId))).state).toBe("succeeded");
  await two.dispose();
});

test("says docker_unavailable when Docker does not answer", async () => {
  fake.state.down = true;
  expect((await run(deploy(spec))).failure?.code).toBe("docker_unavailable");
});

const CRASH_POINTS = [
  "listContainers",
  "createNetwork",
  "createVolume",
  "createContainer",
  "startContainer",
  "runInside",
  "setRestartPolicy",
] as const;

for (const verb of CRASH_POINTS) {
  test(`finishes a deploy whose agent was killed at ${verb}, with one whole database`, async () => {
    fake.before(verb, () => new Promise(() => undefined));
    const command = deploy(spec);
    rig.receive(command);
    await clock.advance(1_000);
    fake.unhook();
    const again = rig.reborn();
    again.runner.resume();
    expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
    const [volume] = fake.volumes.values();
    expect(volume).toMatchObject({ halfMade: false, identity: expect.any(String) });
    expect(again.journal.volumes.get(volume?.name ?? "")?.ready?.identity).toBe(volume?.identity);
    expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([1, 1, 1]);
    expect(fake.only()).toMatchObject({ state: "running", policy: "unless-stopped" });
    again.journal.close();
  });
}

test("wipes a new volume whose first start died half-way, and never just starts it", async () => {
  fake.addImage(spec.image, { probesUntilReady: 1_000 });
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  fake.before("runInside", () => new Promise(() => undefined));
  await clock.advance(1_000);
  fake.unhook();
  fake.end(fake.only().id, 137);
  fake.addImage("other");
  const before = fake.only().id;
  const [image] = fake.images.values();
  if (image !== undefined) image.program.probesUntilReady = 1;
  const again = rig.reborn();
  again.runner.resume();
  expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
  expect(fake.only().id).not.toBe(before);
  expect(again.lines(command.operationId).filter((line) => line.includes("wiped"))).toHaveLength(1);
  again.journal.close();
});

test("does not restart twice when the agent was killed after the restart", async () => {
  await run(deploy(spec));
  const command = restart(spec, 2);
  fake.before("runInside", () => new Promise(() => undefined));
  rig.receive(command);
  await clock.advance(1_000);
  expect(fake.only().starts).toBe(2);
  fake.unhook();
  const again = rig.reborn();
  again.runner.resume();
  expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
  expect(fake.only().starts).toBe(2);
  again.journal.close();
});

test("leaves an operation open when the agent stops, and finishes it at the next start", async () => {
  fake.addImage(spec.image, { probesUntilReady: 40 });
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  await settle(rig.runner.stop());
  expect(rig.journal.operations.get(command.operationId)?.outcome).toBeUndefined();
  expect(fake.only().state).toBe("running");
  const again = rig.reborn();
  again.runner.resume();
  expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
  expect(fake.only().starts).toBe(1);
  again.journal.close();
});

/** The disk of the journal has no room: what is written to it throws, as SQLite does. */
function fillDisk(): () => void {
  const { operations, lines } = rig.journal;
  const kept = { put: operations.put, change: operations.change, add: lines.add };
  const full = () => {
    throw new AppError("disk_full", "the agent's own disk is full");
  };
  Object.assign(operations, { put: full, change: full });
  Object.assign(lines, { add: full });
  return () => {
    Object.assign(operations, { put: kept.put, change: kept.change });
    Object.assign(lines, { add: kept.add });
  };
}

test("holds an outcome back until the journal has room for it, with all its lines", async () => {
  fake.addImage(spec.image, { probesUntilReady: 20 });
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  const room = fillDisk();
  await clock.advance(60_000);
  expect(rig.journal.operations.get(command.operationId)?.outcome).toBeUndefined();
  expect(rig.runner.running()).toHaveLength(1);
  room();
  expect((await settle(rig.outcome(command.operationId))).state).toBe("succeeded");
  expect(rig.lines(command.operationId).filter((line) => line.includes("Identity of this database"))).toHaveLength(1);
  expect(rig.lines(command.operationId).at(-1)).toContain("Done in");
});

test("acknowledges nothing that the journal has no room for", async () => {
  const room = fillDisk();
  expect(rig.receive(deploy(spec))).toMatchObject({ outcome: "rejected", failure: { code: "disk_full" } });
  room();
  expect(rig.runner.running()).toEqual([]);
});

test("cleans up when an operation is cancelled that waits for its second turn", async () => {
  fake.addImage(spec.image, { probesUntilReady: 1_000 });
  const [first, second] = [deploy(serviceSpec({ name: "one" })), deploy(serviceSpec({ name: "two" }))];
  rig.receive(first);
  rig.receive(second);
  await clock.advance(1_000);
  expect(fake.containers.size).toBe(2);
  await settle(rig.runner.stop());
  const again = rig.reborn({ concurrency: 1 });
  again.runner.resume();
  await clock.advance(1_000);
  again.runner.cancel(second.operationId);
  again.runner.cancel(first.operationId);
  expect(await settle(again.outcome(second.operationId))).toMatchObject({ state: "cancelled" });
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
  again.journal.close();
});

test("never lets another database run on because it could not be stopped at once", async () => {
  await run(deploy(spec));
  for (const volume of fake.volumes.values()) volume.identity = "1234";
  let stops = 0;
  fake.before("stopContainer", () => {
    stops += 1;
    // The first is the restart itself, the second the reaction to the mismatch.
    if (stops === 2) throw new AppError("docker_unavailable", "stop container: Docker does not answer");
  });
  const outcome = await run(restart(spec, 2));
  expect(outcome.failure?.code).toBe("identity_mismatch");
  expect(fake.only()).toMatchObject({ state: "exited", policy: "no" });
  expect(rig.journal.services.get(spec.serviceId)?.desired).toBe("stopped");
});

test("names the other database also when the operation is cancelled while that one is being stopped", async () => {
  await run(deploy(spec));
  for (const volume of fake.volumes.values()) volume.identity = "1234";
  const command = restart(spec, 2);
  let stops = 0;
  fake.before("stopContainer", async () => {
    stops += 1;
    if (stops === 2) rig.runner.cancel(command.operationId);
  });
  expect((await run(command)).failure?.code).toBe("identity_mismatch");
  expect(fake.only()).toMatchObject({ state: "exited", policy: "no" });
});

test("does not start over the volume of another service", async () => {
  await run(deploy(spec));
  const other = serviceSpec({ environmentId: spec.environmentId, name: "audit", volumeId: spec.volumeId });
  const forgetful = createRig({ clock, docker: fake.docker, agentId: rig.agentId });
  const outcome = await run(restart(other, 1), forgetful);
  expect(outcome.failure).toMatchObject({
    code: "policy_refused",
    message: expect.stringContaining("another service"),
  });
  expect(fake.only().labels[LABEL.service]).toBe(spec.serviceId);
  await forgetful.dispose();
});

test("gives no new service an address that a container has of which the journal knows nothing", async () => {
  await run(deploy(spec));
  await run(stop(spec, 2));
  rig.journal.networks.remove(spec.environmentId);
  await run(deploy(serviceSpec({ environmentId: spec.environmentId, name: "audit" })));
  const addresses = [...fake.containers.values()].map((one) => one.spec.network.address);
  expect(addresses).toEqual(["10.218.0.2", "10.218.0.3"]);
});

test("keeps a volume whose record was lost while its deploy was ending", async () => {
  fake.before("setRestartPolicy", () => {
    rig.journal.volumes.remove(`dflow-vol-${spec.volumeId}`);
    throw new AppError("docker_failed", "set restart policy: no");
  });
  expect((await run(deploy(spec))).state).toBe("failed");
  expect(fake.volumes.size).toBe(1);
});

test("takes a finished database up again whose deploy failed at its very end", async () => {
  fake.before("setRestartPolicy", () => {
    throw new AppError("docker_unavailable", "set restart policy: Docker does not answer");
  });
  expect((await run(deploy(spec))).state).toBe("failed");
  const [volume] = fake.volumes.values();
  const identity = volume?.identity;
  fake.unhook();
  expect((await run(deploy(spec, 2))).state).toBe("succeeded");
  expect([...fake.volumes.values()].map((one) => one.identity)).toEqual([identity]);
  expect((await run(deploy(spec, 3))).failure?.code).toBe("already_deployed");
});

test("says after a cancelled restart that the database is stopped", async () => {
  await run(deploy(spec));
  const command = restart(spec, 2);
  fake.before("stopContainer", () => rig.runner.cancel(command.operationId));
  await run(command);
  fake.unhook();
  fake.end(fake.only().id, 0);
  const another = restart(spec, 3);
  fake.before("startContainer", () => rig.runner.cancel(another.operationId));
  expect((await run(another)).state).toBe("cancelled");
  expect(rig.lines(another.operationId).some((line) => line.startsWith("warn") && line.includes("not running"))).toBe(
    true,
  );
});

test("lets Docker bring back nothing that was stopped, also when it had ended by itself before", async () => {
  await run(deploy(spec));
  fake.end(fake.only().id, 1);
  expect((await run(stop(spec, 2))).state).toBe("succeeded");
  expect(fake.only().policy).toBe("no");
  expect((await run(restart(spec, 3))).state).toBe("succeeded");
  expect(fake.only().policy).toBe("unless-stopped");
});

test("brings a database back by itself that it knows only from a restart", async () => {
  await run(deploy(spec));
  const forgetful = createRig({ clock, docker: fake.docker, agentId: rig.agentId });
  expect((await run(restart(spec, 2), forgetful)).state).toBe("succeeded");
  expect(forgetful.journal.services.get(spec.serviceId)).toMatchObject({ desired: "running", everDeployed: true });
  await forgetful.dispose();
});

test.each(["postgres/../../containers/x", "../x", "a/./b", "a//b"])("refuses %j as an image's name", (image) => {
  expect(rig.receive(deploy({ ...spec, image }))).toMatchObject({
    outcome: "rejected",
    failure: { code: "invalid_input" },
  });
});

test("leaves nothing of what Docker was still making when the deploy was cancelled", async () => {
  for (const verb of ["createNetwork", "createVolume", "createContainer"] as const) {
    const one = serviceSpec();
    fake.addImage(one.image);
    const command = deploy(one);
    fake.before(verb, () => rig.runner.cancel(command.operationId));
    fake.state.slowToMake = true;
    expect((await run(command)).state).toBe("cancelled");
    fake.unhook();
    // Time enough for what is being made.
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
  }
});

const LIVES = {
  restart: ["listContainers", "stopContainer", "setRestartPolicy", "startContainer", "runInside"],
  "restart with other settings": ["stopContainer", "removeContainer", "createContainer", "startContainer", "runInside"],
  stop: ["listContainers", "stopContainer"],
  delete: ["listContainers", "stopContainer", "removeContainer", "removeVolume", "listNetworks", "removeNetwork"],
} as const;

for (const [what, verbs] of Object.entries(LIVES)) {
  for (const verb of verbs) {
    test(`finishes a ${what} whose agent was killed at ${verb}`, async () => {
      await run(deploy(spec));
      const [volume] = [...fake.volumes.values()];
      const command =
        what === "stop"
          ? stop(spec, 2)
          : what === "delete"
            ? remove(spec, 2, true)
            : restart(what === "restart" ? spec : { ...spec, memoryBytes: 512 * 1024 * 1024 }, 2);
      fake.before(verb, () => new Promise(() => undefined));
      rig.receive(command);
      await clock.advance(1_000);
      fake.unhook();
      const again = rig.reborn();
      again.runner.resume();
      expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
      if (what === "delete") {
        expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
      } else {
        expect([...fake.volumes.values()]).toEqual([volume]);
        expect(fake.only().state).toBe(what === "stop" ? "exited" : "running");
        if (what !== "stop") expect(fake.only()).toMatchObject({ policy: "unless-stopped" });
      }
      again.journal.close();
    });
  }
}

for (const verb of CRASH_POINTS) {
  test(`can deploy again after Docker died at ${verb} and stayed away`, async () => {
    fake.before(verb, () => {
      fake.state.down = true;
      throw new AppError("docker_unavailable", `${verb}: Docker does not answer`);
    });
    expect((await run(deploy(spec))).failure?.code).toBe("docker_unavailable");
    fake.unhook();
    fake.state.down = false;
    expect((await run(deploy(spec, 2))).state).toBe("succeeded");
    expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([1, 1, 1]);
    expect(fake.only()).toMatchObject({ state: "running", policy: "unless-stopped" });
  });
}

test("leaves no network behind when every deploy of a new environment failed, whoever had made it", async () => {
  fake.addImage(spec.image, { probesUntilReady: Number.POSITIVE_INFINITY });
  const [first, second] = [deploy(spec), deploy(serviceSpec({ environmentId: spec.environmentId, name: "audit" }))];
  rig.receive(first);
  rig.receive(second);
  await clock.advance(1_000);
  rig.runner.cancel(first.operationId);
  await settle(rig.outcome(first.operationId));
  expect(fake.networks.size).toBe(1);
  rig.runner.cancel(second.operationId);
  await settle(rig.outcome(second.operationId));
  expect(fake.networks.size).toBe(0);
  expect(rig.journal.networks.all()).toEqual([]);
});

test("remembers a cancel over a kill in the middle of cleaning up, and does not make it all anew", async () => {
  fake.addImage(spec.image, { probesUntilReady: 5 });
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  fake.before("removeContainer", () => new Promise(() => undefined));
  rig.runner.cancel(command.operationId);
  await clock.advance(1_000);
  fake.unhook();
  const again = rig.reborn();
  again.runner.resume();
  expect((await settle(again.outcome(command.operationId))).state).toBe("cancelled");
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
  again.journal.close();
});
