/** Operations while the Docker engine is away: what they made is still removed, and they end with the truth. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, restart, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const spec = serviceSpec();

beforeEach(() => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(spec.image, { probesUntilReady: 20 });
  rig = createRig({ clock, docker: fake.docker });
});
afterEach(() => rig.dispose());

const outcomeOf = (operationId: string) => rig.journal.operations.get(operationId)?.outcome;

test("a deploy that lost Docker half-way waits for it to come back, and then leaves nothing", async () => {
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  fake.state.down = true;
  await clock.advance(120_000);
  expect(outcomeOf(command.operationId)).toBeUndefined();
  expect(rig.runner.running()).toEqual([{ operationId: command.operationId, step: "cleaning up" }]);
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([1, 1, 1]);
  fake.state.down = false;
  await clock.advance(5_000);
  expect(outcomeOf(command.operationId)).toMatchObject({ state: "failed", failure: { code: "docker_unavailable" } });
  expect([fake.containers.size, fake.volumes.size, fake.networks.size]).toEqual([0, 0, 0]);
  const lines = rig.lines(command.operationId);
  expect(lines.filter((line) => line.includes("cleaning up waits until it does"))).toHaveLength(1);
  expect(lines.join("\n")).not.toContain("Could not");
});

test("it does not wait for ever: what could not be removed is said", async () => {
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  fake.state.down = true;
  await clock.advance(400_000);
  expect(outcomeOf(command.operationId)).toMatchObject({ state: "failed", failure: { code: "docker_unavailable" } });
  expect(rig.lines(command.operationId).join("\n")).toContain("error Could not clean up");
});

test("an agent that stops meanwhile leaves it to its next start, which goes on with the deploy", async () => {
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(1_000);
  fake.state.down = true;
  await clock.advance(2_000);
  const stopped = rig.runner.stop();
  await clock.advance(2_000);
  await stopped;
  expect(outcomeOf(command.operationId)).toBeUndefined();
  fake.state.down = false;
  const again = rig.reborn();
  again.runner.resume();
  await clock.advance(10_000);
  expect(again.journal.operations.get(command.operationId)?.outcome?.state).toBe("succeeded");
  again.journal.close();
});

test("what has made nothing does not wait", async () => {
  fake.state.down = true;
  const command = deploy(spec);
  rig.receive(command);
  await clock.advance(5_000);
  expect(outcomeOf(command.operationId)).toMatchObject({ state: "failed", failure: { code: "docker_unavailable" } });
});

test("a restart that lost Docker half-way says what runs once it is back, under its old restart policy", async () => {
  fake.addImage(spec.image);
  rig.receive(deploy(spec));
  await clock.advance(5_000);
  rig.receive(stop(spec, 2));
  await clock.advance(5_000);
  fake.before("startContainer", () => {
    fake.state.down = true;
  });
  const command = restart(spec, 3);
  rig.receive(command);
  await clock.advance(20_000);
  expect(outcomeOf(command.operationId)).toBeUndefined();
  fake.state.down = false;
  await clock.advance(5_000);
  expect(outcomeOf(command.operationId)).toMatchObject({ state: "failed", failure: { code: "docker_unavailable" } });
  expect(fake.only().policy).toBe("unless-stopped");
  expect(rig.lines(command.operationId).join("\n")).toMatch(/is running now|is not running now/);
});
