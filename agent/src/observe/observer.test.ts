import { stateSchema } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deploy, newId, remove, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import { createObserver, type Observer, type StateEntry } from "./observer.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
let observer: Observer;
let changes: StateEntry[];
let answered: number;
const spec = serviceSpec();

beforeEach(() => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(spec.image);
  rig = createRig({ clock, docker: fake.docker });
  changes = [];
  answered = 0;
  observer = createObserver(
    { clock, docker: fake.docker, journal: rig.journal, log: rig.log },
    { agentId: rig.agentId, observeMs: 10_000 },
    {
      changed: (services) => changes.push(...services),
      seen: () => undefined,
      dockerAnswers: () => {
        answered += 1;
      },
    },
  );
});
afterEach(async () => {
  observer.stop();
  await rig.dispose();
});

const states = () => changes.map(({ observation }) => observation.state);

async function run(command: Parameters<Rig["run"]>[0]): Promise<void> {
  const ended = rig.run(command);
  await clock.advance(2_000);
  await ended;
}

test("reports a service's life by Docker's events, each change once", async () => {
  observer.start();
  await run(deploy(spec));
  await run(stop(spec, 2));
  await run(remove(spec, 3, true));
  await clock.advance(30_000);
  expect(states().filter((state, at) => state !== states()[at - 1])).toEqual([
    "not_deployed",
    "running",
    "exited",
    "not_deployed",
  ]);
  expect(observer.report()).toEqual([]);
});

test("looks every ten seconds, and inspects only what changed", async () => {
  observer.start();
  await run(deploy(spec));
  await clock.advance(20_000);
  const [inspected, listed] = [fake.count("findContainer"), fake.count("listContainers")];
  await clock.advance(60_000);
  expect(fake.count("listContainers") - listed).toBe(6);
  expect(fake.count("findContainer") - inspected).toBe(0);
  expect(changes.at(-1)?.observation.state).toBe("running");
});

test("gives a look up that a question without an answer holds, says so, and looks again", async () => {
  observer.start();
  await run(deploy(spec));
  fake.before("listContainers", () => new Promise(() => undefined));
  await clock.advance(80_000);
  expect(states().at(-1)).toBe("unknown");
  expect(observer.health().dockerOk).toBe(false);
  fake.unhook();
  await clock.advance(80_000);
  expect(states().at(-1)).toBe("running");
});

test("says whether a container has a way out, also one that somebody gave it by hand", async () => {
  observer.start();
  await run(deploy(spec));
  await clock.advance(1_000);
  const outgoing = () => observer.report().map(({ observation }) => observation.outgoing);
  expect(outgoing()).toEqual([false]);
  await fake.docker.createNetwork({ kind: "outgoing", name: "somebodys", subnet: "10.1.0.0/26", labels: {} });
  await fake.docker.joinNetwork("somebodys", fake.only().id);
  await clock.advance(1_000);
  expect(outgoing()).toEqual([true]);
  expect(changes.at(-1)?.observation).toMatchObject({ state: "running", outgoing: true });
});

test("sees what happened without an event at the next look", async () => {
  observer.start();
  await run(deploy(spec));
  await clock.advance(10_000);
  fake.containers.clear();
  await clock.advance(10_000);
  expect(changes.at(-1)?.observation).toMatchObject({ state: "missing", volume: "present" });
  fake.volumes.clear();
  await clock.advance(10_000);
  expect(changes.at(-1)?.observation).toMatchObject({ state: "missing", volume: "absent" });
});

test("names the exit code and the memory", async () => {
  observer.start();
  await run(deploy(spec));
  Object.assign(fake.only(), { state: "exited", exitCode: 137, oomKilled: true });
  await clock.advance(10_000);
  expect(changes.at(-1)?.observation).toMatchObject({
    state: "exited",
    exitCode: 137,
    oomKilled: true,
    evidence: "container exited with code 137, out of memory",
  });
});

test("says unknown while Docker does not answer, and goes on when it does", async () => {
  observer.start();
  await run(deploy(spec));
  await clock.advance(10_000);
  fake.state.down = true;
  await clock.advance(10_000);
  expect(changes.at(-1)?.observation.state).toBe("unknown");
  expect(observer.health().dockerOk).toBe(false);
  const agedMs = observer.health().observedAgeMs ?? 0;
  await clock.advance(10_000);
  expect(observer.health().observedAgeMs).toBe(agedMs + 10_000);
  fake.state.down = false;
  await clock.advance(10_000);
  expect(changes.at(-1)?.observation.state).toBe("running");
  expect(observer.health()).toMatchObject({ dockerOk: true });
  expect(answered).toBe(2);
});

test("watches again when Docker ends the stream of events", async () => {
  observer.start();
  await run(deploy(spec));
  for (const stream of fake.openStreams) stream.destroy();
  await clock.advance(3_000);
  fake.end(fake.only().id, 1);
  await clock.advance(200);
  expect(changes.at(-1)?.observation.state).toBe("exited");
});

test("takes the end of the stream for a Docker that went away, though every look was answered", async () => {
  // Where systemd holds the socket, a look during a restart of Docker waits, and is answered by the new one.
  observer.start();
  await run(deploy(spec));
  expect(answered).toBe(1);
  for (const stream of fake.openStreams) stream.destroy();
  await clock.advance(3_000);
  expect(answered).toBe(2);
  expect(fake.openStreams.size).toBe(1);
  await clock.advance(60_000);
  expect(answered).toBe(2);
});

test("opens a stream of events that always ends at once no more often than every two seconds", async () => {
  observer.start();
  await clock.advance(1);
  const before = fake.count("openEvents");
  for (let step = 0; step < 100; step += 1) {
    for (const stream of fake.openStreams) stream.destroy();
    await clock.advance(100);
  }
  expect(fake.count("openEvents") - before).toBeGreaterThan(3);
  expect(fake.count("openEvents") - before).toBeLessThanOrEqual(5);
  expect(answered).toBeLessThanOrEqual(6);
});

test("knows a service by its labels when the journal is new, and tells its generation", async () => {
  await run(deploy(spec, 4));
  const fresh = createRig({ clock, docker: fake.docker, agentId: rig.agentId });
  const other = createObserver(
    { clock, docker: fake.docker, journal: fresh.journal, log: fresh.log },
    { agentId: rig.agentId, observeMs: 10_000 },
    { changed: () => undefined, seen: () => undefined, dockerAnswers: () => undefined },
  );
  other.start();
  await clock.advance(100);
  expect(other.report()).toMatchObject([
    { serviceId: spec.serviceId, generation: 4, observation: { state: "running" } },
  ]);
  other.stop();
  await fresh.dispose();
});

test("does not see other agents' containers", async () => {
  observer.start();
  const stranger = createRig({ clock, docker: fake.docker, agentId: newId() });
  const ended = stranger.run(deploy(spec));
  await clock.advance(20_000);
  await ended;
  expect(changes).toEqual([]);
  await stranger.dispose();
});

test("watches by one stream of events after Docker missed a look, and does not open it again and again", async () => {
  observer.start();
  await run(deploy(spec));
  await clock.advance(10_000);
  // As long as a real engine takes: the old stream has ended by then.
  fake.before("openEvents", () => new Promise((resolve) => setImmediate(resolve)));
  fake.state.down = true;
  await clock.advance(10_000);
  fake.state.down = false;
  await clock.advance(15_000);
  const opened = fake.count("openEvents");
  await clock.advance(60_000);
  expect(fake.count("openEvents")).toBe(opened);
  expect(fake.openStreams.size).toBe(1);
  fake.end(fake.only().id, 1);
  await clock.advance(200);
  expect(changes.at(-1)?.observation.state).toBe("exited");
});

test("reports what the link takes, whatever somebody wrote into a container's labels", async () => {
  observer.start();
  await run(deploy(spec));
  const container = fake.only();
  container.labels = { ...container.labels, "sh.dflow.generation": "newest" };
  fake.end(container.id, 1);
  await clock.advance(200);
  const report = { full: false, services: [changes.at(-1)] };
  expect(stateSchema.safeParse(JSON.parse(JSON.stringify(report))).success).toBe(true);
});
