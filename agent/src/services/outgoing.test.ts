import { AppError, type Command } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, newId, remove, restart, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import type { Outcome } from "../journal/journal.ts";
import { networkName, outgoingNetworkName } from "./naming.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const inside = serviceSpec();
const outside = { ...inside, outgoing: true };
const envName = networkName(inside.environmentId);
const outName = outgoingNetworkName(inside.environmentId);

beforeEach(() => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(inside.image);
  rig = createRig({ clock, docker: fake.docker });
});
afterEach(() => rig.dispose());

async function settle<T>(work: Promise<T>): Promise<T> {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  for (let turn = 0; turn < 5_000 && !over; turn += 1) await clock.advance(100);
  return ended;
}
const run = (command: Command, on: Rig = rig): Promise<Outcome> => settle(on.run(command));

const names = () => [...fake.networks.values()].map(({ name }) => name).toSorted();
/** Of the containers of a service. */
const networksOf = ({ serviceId } = inside) =>
  [...fake.containers.values()]
    .filter(({ labels }) => labels["sh.dflow.service"] === serviceId)
    .map(({ networks }) => networks.map(({ id }) => fake.networks.get(id)?.name).toSorted());
const members = () => rig.journal.networks.get(inside.environmentId)?.outgoing;
/** As an earlier version made it. */
const openNetwork = () => {
  for (const network of fake.networks.values()) network.internal = false;
};

test("gives a service no way out unless it is to have one", async () => {
  await run(deploy(inside));
  expect([names(), networksOf()]).toEqual([[envName], [[envName]]]);
  expect([...fake.networks.values()][0]).toMatchObject({ internal: true });
  expect(fake.only().spec.outgoing).toBe(false);
});

test("switches it on and off at a restart, with the same address and no network left over", async () => {
  await run(deploy(inside));
  const address = fake.only().networks[0]?.address;
  const on = restart(outside, 2);
  expect((await run(on)).state).toBe("succeeded");
  expect([networksOf(), members()]).toEqual([[[envName, outName]], [inside.serviceId]]);
  expect(rig.lines(on.operationId).join()).toMatch(/may open connections to the outside, through dflow-out-/);
  expect(fake.only().networks).toContainEqual(expect.objectContaining({ address }));
  // Nothing changed, so nothing is made anew.
  const { id } = fake.only();
  expect((await run(restart(outside, 3))).state).toBe("succeeded");
  expect(fake.only().id).toBe(id);

  const off = restart(inside, 4);
  expect((await run(off)).state).toBe("succeeded");
  expect([names(), networksOf(), members()]).toEqual([[envName], [[envName]], []]);
  expect(rig.lines(off.operationId).join()).toContain(`${outName}: removed`);
  expect(fake.only().networks).toContainEqual(expect.objectContaining({ address }));
});

test("gives each network a range of its own", async () => {
  await run(deploy(outside));
  await run(deploy(serviceSpec({ outgoing: true })));
  const subnets = [...fake.networks.values()].flatMap((network) => network.subnets);
  expect(new Set(subnets).size).toBe(4);
});

test("keeps the way out until the last service that needs it has left", async () => {
  const other = serviceSpec({ environmentId: inside.environmentId, name: "audit", outgoing: true });
  await run(deploy(outside));
  await run(deploy(other));
  expect(names()).toEqual([envName, outName]);
  await run(restart(inside, 2));
  expect([names(), networksOf()]).toEqual([[envName, outName], [[envName]]]);
  await run(remove(other, 2, true));
  expect(names()).toEqual([envName]);
  await run(remove(inside, 3, true));
  expect([names(), rig.journal.networks.all()]).toEqual([[], []]);
});

test("keeps it for a stopped service, which may be started again", async () => {
  const other = serviceSpec({ environmentId: inside.environmentId, name: "audit", outgoing: true });
  await run(deploy(outside));
  await run(stop(outside, 2));
  await run(deploy(other));
  await run(remove(other, 2, true));
  expect(names()).toEqual([envName, outName]);
});

test("makes a way out anew that somebody removed, and the container with it", async () => {
  await run(deploy(outside));
  for (const { id, name } of fake.networks.values()) if (name === outName) fake.networks.delete(id);
  expect((await run(restart(outside, 2))).state).toBe("succeeded");
  expect(networksOf()).toEqual([[envName, outName]]);
});

test("takes no network of that name for its own that somebody else made", async () => {
  await fake.docker.createNetwork({ kind: "outgoing", name: outName, subnet: "10.1.0.0/26", labels: {} });
  expect((await run(deploy(outside))).failure?.code).toBe("policy_refused");
  expect([names(), fake.containers.size]).toEqual([[outName], 0]);
});

test("leaves nothing of a deploy with a way out that failed", async () => {
  fake.addImage(inside.image, { probesUntilReady: 1, exits: { code: 3 } });
  expect((await run(deploy(outside))).failure?.code).toBe("container_exited");
  expect([names(), fake.containers.size, rig.journal.networks.all()]).toEqual([[], 0, []]);
});

test("leaves no way out behind a restart that failed to switch it on, and switches it on the next time", async () => {
  await run(deploy(inside));
  fake.before("joinNetwork", () => {
    throw new AppError("docker_failed", "join network: no");
  });
  expect((await run(restart(outside, 2))).failure?.message).toContain("join network");
  expect([names(), fake.containers.size]).toEqual([[envName], 0]);
  fake.unhook();
  expect((await run(restart(outside, 3))).state).toBe("succeeded");
  expect(networksOf()).toEqual([[envName, outName]]);
});

test("does not fail a database over a way out that Docker will not remove, and says so", async () => {
  await run(deploy(outside));
  fake.before("removeNetwork", () => {
    throw new AppError("docker_failed", "network has active endpoints");
  });
  const off = restart(inside, 2);
  expect((await run(off)).state).toBe("succeeded");
  expect(rig.lines(off.operationId).join()).toContain("kept: network has active endpoints");
  expect(networksOf()).toEqual([[envName]]);
});

type Verb = keyof FakeDocker["docker"];
const VERBS: Verb[] = [
  "listNetworks",
  "createNetwork",
  "removeContainer",
  "createContainer",
  "joinNetwork",
  "startContainer",
];
const COMMANDS: Record<string, { before?: typeof inside; command: () => Command }> = {
  "a deploy with a way out": { command: () => deploy(outside) },
  "switching it on": { before: inside, command: () => restart(outside, 2) },
  "switching it off": { before: outside, command: () => restart(inside, 2) },
  "a delete": { before: outside, command: () => remove(outside, 2, true) },
};
const KILLED: Record<keyof typeof COMMANDS, Verb[]> = {
  "a deploy with a way out": [...VERBS.filter((verb) => verb !== "removeContainer"), "runInside", "setRestartPolicy"],
  "switching it on": [...VERBS, "stopContainer", "runInside", "setRestartPolicy"],
  "switching it off": [
    "listNetworks",
    "stopContainer",
    "removeContainer",
    "removeNetwork",
    "createContainer",
    "runInside",
  ],
  "a delete": ["stopContainer", "removeContainer", "removeVolume", "removeNetwork"],
};

for (const [what, verbs] of Object.entries(KILLED)) {
  for (const verb of verbs) {
    // Each verb is met more than once: for the environment's network and for the way out.
    for (const at of [1, 2]) {
      test(`finishes ${what} whose agent was killed at its ${verb} number ${at}`, async () => {
        const { before, command: make } = COMMANDS[what] ?? { command: () => deploy(outside) };
        if (before !== undefined) await run(deploy(before));
        const command = make();
        let met = 0;
        fake.before(verb, () => {
          met += 1;
          return met === at ? new Promise(() => undefined) : undefined;
        });
        rig.receive(command);
        await clock.advance(3_000);
        fake.unhook();
        const again = rig.reborn();
        again.runner.resume();
        expect((await settle(again.outcome(command.operationId))).state).toBe("succeeded");
        const wayOut = what === "a deploy with a way out" || what === "switching it on";
        const all = what === "a delete" ? [] : wayOut ? [envName, outName] : [envName];
        expect(names()).toEqual(all);
        expect(networksOf()).toEqual(what === "a delete" ? [] : [all]);
        if (what !== "a delete") {
          expect(again.journal.networks.get(inside.environmentId)?.outgoing).toEqual(wayOut ? [inside.serviceId] : []);
          expect(fake.only()).toMatchObject({ state: "running", policy: "unless-stopped" });
        }
        again.journal.close();
      });
    }
  }
}

test("makes a network of an earlier version anew, with its addresses, when nothing else runs in it", async () => {
  const other = serviceSpec({ environmentId: inside.environmentId, name: "audit" });
  await run(deploy(other));
  await run(deploy(inside));
  openNetwork();
  const address = rig.journal.networks.get(inside.environmentId)?.addresses[inside.serviceId];
  await run(stop(other, 2));
  const again = restart(inside, 2);
  expect((await run(again)).state).toBe("succeeded");
  expect([...fake.networks.values()]).toMatchObject([{ name: envName, internal: true }]);
  expect(rig.lines(again.operationId).join()).toContain("its network has a way out");
  const mine = [...fake.containers.values()].find(({ labels }) => labels["sh.dflow.service"] === inside.serviceId);
  expect(mine?.networks).toEqual([{ id: [...fake.networks.keys()][0], address }]);
  // The stopped one's network is gone with its id; it comes back in the new one.
  expect((await run(restart(other, 3))).state).toBe("succeeded");
  expect(networksOf(other)).toEqual([[envName]]);
});

test("keeps a network of an earlier version that others run in, and says what to do", async () => {
  const other = serviceSpec({ environmentId: inside.environmentId, name: "audit" });
  await run(deploy(inside));
  await run(deploy(other));
  openNetwork();
  const again = restart(inside, 2);
  expect((await run(again)).state).toBe("succeeded");
  expect([...fake.networks.values()]).toMatchObject([{ name: envName, internal: false }]);
  const warning = rig.lines(again.operationId).find((line) => line.startsWith("warn"));
  expect(warning).toMatch(/it lets traffic out.*stop every service of this environment, then restart each/);
  expect(networksOf(other)).toEqual([[envName]]);
});

test("gives nobody the address at which the default route ends, though an earlier version did", async () => {
  await run(deploy(inside));
  openNetwork();
  const record = rig.journal.networks.get(inside.environmentId);
  if (record === undefined) throw new Error("no record");
  const deadEnd = record.subnet.replace("0/26", "62");
  rig.journal.networks.put({ ...record, addresses: { [inside.serviceId]: deadEnd } });
  fake.only().networks = [{ id: [...fake.networks.keys()][0] ?? "", address: deadEnd }];
  expect((await run(restart(inside, 2))).state).toBe("succeeded");
  expect(fake.only().networks).toMatchObject([{ address: expect.not.stringContaining(deadEnd) }]);
});

test("reads networks of the journal of an earlier version, which know of no way out", () => {
  const record = { environmentId: newId(), subnet: "10.218.0.0/26", addresses: {} };
  rig.journal.networks.put(record as never);
  expect(rig.journal.networks.get(record.environmentId)).toEqual({ ...record, outgoing: [] });
});
