import { AppError } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import { reconcile } from "./reconcile.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const spec = serviceSpec();

beforeEach(async () => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(spec.image);
  rig = createRig({ clock, docker: fake.docker });
  const ended = rig.run(deploy(spec));
  await clock.advance(2_000);
  await ended;
});
afterEach(() => rig.dispose());

async function dockerComesBack(): Promise<void> {
  reconcile(rig.deps, rig.runner);
  await clock.advance(20_000);
}

test("starts what should run and does not, and lets Docker keep it running", async () => {
  fake.end(fake.only().id, 137);
  await dockerComesBack();
  expect(fake.only()).toMatchObject({ state: "running", starts: 2, policy: "unless-stopped" });
});

test("leaves alone what runs, what was stopped, and what is not there", async () => {
  await dockerComesBack();
  expect(fake.only().starts).toBe(1);
  const ended = rig.run(stop(spec, 2));
  await clock.advance(1_000);
  await ended;
  await dockerComesBack();
  expect(fake.only().starts).toBe(1);
  fake.containers.clear();
  await dockerComesBack();
  expect(fake.containers.size).toBe(0);
});

test("stops what came up as another database, and does not try again", async () => {
  fake.end(fake.only().id, 0);
  for (const volume of fake.volumes.values()) volume.identity = "1";
  await dockerComesBack();
  await dockerComesBack();
  expect(fake.only()).toMatchObject({ state: "exited", starts: 2 });
});

test("proves what Docker has started by itself, and stops another database", async () => {
  for (const volume of fake.volumes.values()) volume.identity = "1";
  await dockerComesBack();
  expect(fake.only()).toMatchObject({ state: "exited", starts: 1 });
  expect(rig.journal.services.get(spec.serviceId)?.desired).toBe("stopped");
});

test("gives a container its restart policy back when the agent was killed while it brought it back", async () => {
  fake.end(fake.only().id, 137);
  fake.before("runInside", () => new Promise(() => undefined));
  await dockerComesBack();
  expect(fake.only()).toMatchObject({ state: "running", policy: "no" });
  fake.unhook();
  const again = rig.reborn();
  reconcile(again.deps, again.runner);
  await clock.advance(20_000);
  expect(fake.only()).toMatchObject({ state: "running", starts: 2, policy: "unless-stopped" });
  again.journal.close();
});

test("does not let Docker keep another database running that could not be stopped", async () => {
  fake.end(fake.only().id, 0);
  for (const volume of fake.volumes.values()) volume.identity = "1";
  fake.before("stopContainer", () => {
    throw new AppError("docker_unavailable", "Docker does not answer");
  });
  await dockerComesBack();
  expect(fake.only()).toMatchObject({ policy: "no" });
  expect(rig.journal.services.get(spec.serviceId)?.desired).toBe("stopped");
});

test("keeps no operation waiting while Docker has its own turn", async () => {
  const narrow = rig.reborn({ concurrency: 1 });
  reconcile(narrow.deps, narrow.runner);
  const ended = narrow.run(stop(spec, 2));
  await clock.advance(1_000);
  expect((await ended).state).toBe("succeeded");
  await clock.advance(20_000);
  expect(fake.only()).toMatchObject({ state: "exited", starts: 1 });
  narrow.journal.close();
});
