/** An agent whose journal is gone: nothing that runs is touched, nothing is done twice, nothing older is accepted. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { check, deploy, restart, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import type { Outcome } from "../journal/journal.ts";
import { rebuildServices, rebuilt } from "./rebuild.ts";

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

async function run(on: Rig, command: Command): Promise<Outcome> {
  let over = false;
  const ended = on.run(command).finally(() => {
    over = true;
  });
  for (let turn = 0; turn < 10_000 && !over; turn += 1) await clock.advance(100);
  return ended;
}
function afterLoss(): Rig {
  for (const name of ["journal.db", "journal.db-wal", "journal.db-shm"])
    rmSync(join(rig.folder, name), { force: true });
  return rig.reborn();
}
const database = () => fake.only();

test("a deploy that is sent again finds the database that it made, proves it and leaves it running", async () => {
  const command = deploy(spec);
  expect((await run(rig, command)).state).toBe("succeeded");
  const { id, startedAt } = database();
  const next = afterLoss();
  expect(await run(next, command)).toMatchObject({ state: "succeeded" });
  expect(database()).toMatchObject({ id, startedAt, state: "running", policy: "unless-stopped" });
  expect(next.lines(command.operationId).join("\n")).toContain("This agent had no record of the database");
  next.journal.close();
});

test("a deploy that is sent again removes nothing where its database does not run: nobody knows what the volume holds", async () => {
  const command = deploy(spec);
  await run(rig, command);
  fake.end(database().id, 1);
  const next = afterLoss();
  expect(await run(next, command)).toMatchObject({ state: "failed", failure: { code: "already_deployed" } });
  expect(database().state).toBe("exited");
  expect([fake.volumes.size, fake.networks.size]).toEqual([1, 1]);
  next.journal.close();
});

test("a check whose acknowledgement was lost too is not run again: its outcome is unknown", async () => {
  await run(rig, deploy(spec));
  const command = check(spec, 2);
  expect((await run(rig, command)).state).toBe("succeeded");
  expect(fake.count("createJob")).toBe(1);
  const next = afterLoss();
  expect(await run(next, command)).toMatchObject({ state: "unknown", failure: { code: "outcome_unknown" } });
  expect(fake.count("createJob")).toBe(1);
  next.journal.close();
});

test("a command of an older generation than the container's is refused, before and after the service is known again", async () => {
  await run(rig, deploy(spec, 1));
  fake.containers.delete(database().id);
  await run(rig, restart(spec, 7));
  const next = afterLoss();
  expect(await run(next, stop(spec, 5))).toMatchObject({ state: "failed", failure: { code: "stale_generation" } });
  expect(database().state).toBe("running");
  const third = afterLoss();
  const containers = new Map([[spec.serviceId, database()]]);
  rebuildServices({ journal: third.journal, log: third.log }, containers);
  expect(third.receive(stop(spec, 6))).toMatchObject({ outcome: "rejected", failure: { code: "stale_generation" } });
  expect((await run(third, stop(spec, 8))).state).toBe("succeeded");
  next.journal.close();
  third.journal.close();
});

test("labels tell which service it is, of which generation, where it belongs and whether it runs", async () => {
  await run(rig, deploy(spec, 3));
  const next = afterLoss();
  rebuildServices({ journal: next.journal, log: next.log }, new Map([[spec.serviceId, database()]]));
  const { serviceId, environmentId } = spec;
  expect(next.journal.services.all()).toEqual([
    { serviceId, environmentId, generation: 2, desired: "running", everDeployed: true, deleted: false },
  ]);
  expect(rebuilt(serviceId, { ...database(), state: "exited" }, []).desired).toBe("stopped");
  const half = { name: "v", serviceId, createdBy: "op" };
  expect(rebuilt(serviceId, database(), [half]).everDeployed).toBe(false);
  next.journal.close();
});

test("a service that is known stays as it is, also one that was deleted", async () => {
  await run(rig, deploy(spec, 3));
  const [known] = rig.journal.services.all();
  rebuildServices({ journal: rig.journal, log: rig.log }, new Map([[spec.serviceId, database()]]));
  expect(rig.journal.services.all()).toEqual([known]);
});
