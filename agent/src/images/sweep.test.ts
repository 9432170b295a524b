import type { Command } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, remove, restart, serviceSpec } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import { createImageSweep, type ImageSweep } from "./sweep.ts";

const DAY_MS = 86_400_000;
let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
let sweep: ImageSweep;
const spec = serviceSpec();

beforeEach(() => {
  clock = createFakeClock();
  fake = createFakeDocker();
  rig = createRig({ clock, docker: fake.docker });
  sweep = createImageSweep({ clock, docker: fake.docker, journal: rig.journal, log: rig.log });
});
afterEach(async () => {
  sweep.stop();
  await rig.dispose();
});

async function run(command: Command): Promise<void> {
  const ended = rig.run(command);
  await clock.advance(2_000);
  expect((await ended).state).toBe("succeeded");
}
const days = async (count: number) => {
  for (let day = 0; day < count; day += 1) await clock.advance(DAY_MS);
};
const there = () => [...fake.images.keys()];

test("removes an image that it pulled a week after its last service was deleted, and not before", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  expect(rig.journal.images.all()).toMatchObject([{ reference: spec.image, imageId: fake.only().imageId }]);
  sweep.start();
  await days(30);
  await run(remove(spec, 2, true));
  await days(7);
  expect(there()).toEqual([spec.image]);
  await days(2);
  expect([there(), rig.journal.images.all()]).toEqual([[], []]);
  expect(rig.log.entries.filter(({ message }) => message.includes("nobody used for 7 days"))).toHaveLength(1);
});

test("never removes an image that was there before it", async () => {
  fake.addImage(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  sweep.start();
  await days(30);
  expect(there()).toEqual([spec.image]);
  expect(fake.count("removeImage")).toBe(0);
});

test("begins to count anew when the image was used in between, also between two looks", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  sweep.start();
  await days(5);
  const short = serviceSpec();
  await run(deploy(short));
  await run(remove(short, 2, true));
  await days(5);
  expect(there()).toEqual([spec.image]);
  await days(4);
  expect(there()).toEqual([]);
});

test("keeps what another's container uses, and what a service would start from again", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  sweep.start();
  await days(3);
  const [image] = fake.images.values();
  const foreign = { ...serviceSpec(), name: "x" };
  fake.containers.set("x", { id: "x", name: "x", labels: {}, imageId: image?.id, spec: foreign } as never);
  await days(20);
  expect(there()).toEqual([spec.image]);
  fake.containers.delete("x");
  const lost = serviceSpec();
  await run(deploy(lost));
  fake.containers.clear();
  await days(20);
  await run(restart(lost, 2));
  expect(there()).toEqual([spec.image]);
});

test("leaves a name alone that somebody has given to another image since", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  fake.addImage(spec.image);
  sweep.start();
  await days(30);
  expect([there(), rig.journal.images.all()]).toEqual([[spec.image], []]);
});

test("takes no for an answer when Docker says that it is in use, and asks again the next day", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  const { removeImage } = fake.docker;
  let asked = 0;
  fake.docker.removeImage = async (...args) => (++asked === 1 ? "in_use" : removeImage(...args));
  sweep.start();
  await days(7);
  expect([asked, there()]).toEqual([1, [spec.image]]);
  await days(1);
  expect([asked, there()]).toEqual([2, []]);
});

test("tries again within the hour when Docker was away, and goes on until it is stopped", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  fake.state.down = true;
  sweep.start();
  await clock.advance(1_000);
  fake.state.down = false;
  const before = fake.count("imagesInUse");
  await clock.advance(3_600_000);
  expect(fake.count("imagesInUse")).toBe(before + 1);
  sweep.stop();
  await days(3);
  expect(fake.count("imagesInUse")).toBe(before + 1);
});

test("does not take away what a command that has just come is about to use", async () => {
  fake.offer(spec.image);
  await run(deploy(spec));
  await run(remove(spec, 2, true));
  sweep.start();
  await days(6);
  const next = serviceSpec();
  // Accepted while the sweep looks at Docker.
  fake.before("imagesInUse", () => {
    fake.unhook();
    rig.receive(deploy(next));
  });
  await days(2);
  expect(there()).toEqual([spec.image]);
});
