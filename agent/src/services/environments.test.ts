import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, newId, serviceSpec } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import { lookAtService } from "./look.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const spec = serviceSpec();
const { environmentId, workspaceId } = spec;
const signal = new AbortController().signal;

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

function joining(serviceId = newId()) {
  const owner = { agentId: rig.agentId, workspaceId, environmentId, serviceId, generation: 1, operationId: newId() };
  const subject = { agentId: rig.agentId, serviceId, generation: 1, environmentId };
  return { owner, look: () => lookAtService(fake.docker, subject) };
}

test("makes the network anew that the last service left between the look and the joining", async () => {
  const { owner, look } = joining();
  const found = await look();
  fake.containers.clear();
  await rig.deps.environments.leave(environmentId, spec.serviceId);
  expect(fake.networks.size).toBe(0);
  const joined = await rig.deps.environments.join(owner, found, signal);
  expect([...fake.networks.keys()]).toEqual([joined.id]);
});

test("joins no network that somebody made under the name between the look and the joining", async () => {
  const { owner, look } = joining();
  const found = await look();
  for (const network of fake.networks.values()) network.labels = { "sh.dflow.agent": newId() };
  await expect(rig.deps.environments.join(owner, found, signal)).rejects.toMatchObject({ code: "policy_refused" });
});

test("lets the last service go though a container of somebody else's is in the network, and says so", async () => {
  const [own] = fake.containers.values();
  if (own === undefined) throw new Error("no container");
  // A guest: in the network, with none of our labels.
  own.labels = {};
  const [left] = await rig.deps.environments.leave(environmentId, spec.serviceId);
  expect(left?.what).toMatch(/kept: .*active endpoints/);
  expect(fake.networks.size).toBe(1);
  expect(rig.journal.networks.get(environmentId)?.addresses).toEqual({});
});
