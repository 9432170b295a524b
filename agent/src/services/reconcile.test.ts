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
