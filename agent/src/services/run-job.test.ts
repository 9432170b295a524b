import { statSync } from "node:fs";
import { AppError, type Command } from "@dflow/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { check, deploy, newId, remove, restart, serviceSpec, stop } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createFakeDocker, type FakeDocker } from "../../test/fake-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import type { Docker } from "../docker/docker.ts";
import type { Outcome } from "../journal/journal.ts";
import { isJob, jobName, LABEL } from "./naming.ts";
import { sweepJobs } from "./run-job.ts";

let clock: FakeClock;
let fake: FakeDocker;
let rig: Rig;
const spec = serviceSpec();

beforeEach(async () => {
  clock = createFakeClock();
  fake = createFakeDocker();
  fake.addImage(spec.image);
  rig = createRig({ clock, docker: fake.docker });
  expect((await run(deploy(spec))).state).toBe("succeeded");
});
afterEach(() => rig.dispose());

async function settle<T>(work: Promise<T>, stepMs = 100): Promise<T> {
  let over = false;
  const ended = work.finally(() => {
    over = true;
  });
  for (let turn = 0; turn < 10_000 && !over; turn += 1) await clock.advance(stepMs);
  return ended;
}
const run = (command: Command, on: Rig = rig): Promise<Outcome> => settle(on.run(command));
const jobs = () => [...fake.containers.values()].filter(isJob);
const onlyJob = () => {
  const [job, ...more] = jobs();
  if (job === undefined || more.length > 0) throw new Error(`${jobs().length} jobs`);
  return job;
};
const intentOf = ({ operationId }: Command) => rig.journal.operations.get(operationId)?.intendedAt;
const neverEnding = () => new Promise<void>(() => undefined);

/** The agent "dies" as it asks Docker for this; its successor finds what is there. */
async function killedAt(verb: keyof Docker, command: Command): Promise<Rig> {
  fake.before(verb, neverEnding);
  rig.receive(command);
  await clock.advance(2_000);
  fake.unhook();
  return rig.reborn();
}
/** The agent "dies" while the job runs. */
async function killedWhileRunning(command: Command): Promise<Rig> {
  fake.state.job.code = undefined;
  rig.receive(command);
  await clock.advance(1_000);
  expect(onlyJob().state).toBe("running");
  fake.before("findContainer", neverEnding);
  await clock.advance(1_000);
  fake.unhook();
  return rig.reborn();
}
async function resumed(next: Rig, { operationId }: Command): Promise<Outcome> {
  next.runner.resume();
  return settle(next.outcome(operationId));
}

test("a check reads the database in a job container of its own, which is gone afterwards", async () => {
  fake.state.job.says = ["pg_dump: warning: something"];
  let seen: { labels: object; intended: boolean } | undefined;
  const command = check(spec, 2);
  fake.before("startContainer", () => {
    seen = { labels: onlyJob().labels, intended: intentOf(command) !== undefined };
  });
  const outcome = await run(command);
  expect(outcome.state).toBe("succeeded");
  expect(seen).toMatchObject({
    intended: true,
    labels: { [LABEL.job]: "check", [LABEL.operation]: command.operationId },
  });
  expect(jobs()).toEqual([]);
  expect([fake.count("createJob"), fake.only().starts]).toEqual([1, 1]);
  const lines = rig.lines(command.operationId).map((line) => line.replaceAll(command.operationId, "ID"));
  expect(lines).toEqual([
    "info Container dflow-job-ID: created from the service's own image, without data, ports or a way out",
    "output pg_dump: warning: something",
    "info Container dflow-job-ID: exited with code 0",
    expect.stringMatching(/^info Done in/),
  ]);
  expect(rig.journal.services.get(spec.serviceId)).toMatchObject({ desired: "running", generation: 2 });
});

test("the intent is on disk before Docker is asked for the container", async () => {
  const command = check(spec, 2);
  let intended = false;
  fake.before("createJob", () => {
    intended = intentOf(command) !== undefined;
  });
  await run(command);
  expect(intended).toBe(true);
});

test("the secrets stay readable by their owner only, who is not root", async () => {
  await run(check(spec, 2));
  const file = `${rig.folder}/services/${spec.serviceId}/secrets/postgres_password`;
  const { mode, uid } = statSync(file);
  expect([mode & 0o777, uid]).toEqual([0o600, process.getuid?.() === 0 ? 999 : process.getuid?.()]);
});

test("a check fails with the last words of the engine's own tool", async () => {
  fake.state.job = {
    code: 1,
    says: ["one", "two", "pg_dump: error: connection failed", 'FATAL: no database "orders"'],
  };
  const command = check(spec, 2);
  const outcome = await run(command);
  expect(outcome).toMatchObject({
    state: "failed",
    failure: { code: "check_failed", message: 'two\npg_dump: error: connection failed\nFATAL: no database "orders"' },
  });
  expect(rig.lines(command.operationId)).toContain("output one");
  expect([jobs(), fake.only().state]).toEqual([[], "running"]);
});

test("a check of a database that does not run, or of one that nobody knows, makes nothing", async () => {
  await run(stop(spec, 2));
  const outcome = await run(check(spec, 3));
  expect(outcome.failure).toMatchObject({ code: "not_running", message: expect.stringContaining("exited") });
  expect(fake.count("createJob")).toBe(0);
  expect(rig.receive(check(serviceSpec(), 1))).toMatchObject({
    outcome: "rejected",
    failure: { code: "not_deployed" },
  });
});

test("a check that Docker refuses to make or to start has failed with its words", async () => {
  const { createJob } = fake.docker;
  fake.docker.createJob = () => Promise.reject(new AppError("docker_failed", "create container: no such network"));
  expect((await run(check(spec, 2))).failure).toMatchObject({
    code: "docker_failed",
    message: expect.stringContaining("no such network"),
  });
  fake.docker.createJob = createJob;
  fake.before("startContainer", () => {
    throw new AppError("docker_failed", "start container: bind source path does not exist");
  });
  expect((await run(check(spec, 3))).failure).toMatchObject({
    code: "docker_failed",
    message: expect.stringContaining("bind source"),
  });
  expect(jobs()).toEqual([]);
});

test("after a kill while the job runs it is taken up again, and ends once", async () => {
  const command = check(spec, 2);
  const next = await killedWhileRunning(command);
  next.runner.resume();
  await clock.advance(5_000);
  expect(next.journal.operations.get(command.operationId)?.outcome).toBeUndefined();
  fake.end(jobName(command.operationId), 0);
  expect((await settle(next.outcome(command.operationId))).state).toBe("succeeded");
  expect([fake.count("createJob"), jobs()]).toEqual([1, []]);
});

test("after a kill, of a job that has ended meanwhile exit code and output are taken", async () => {
  const command = check(spec, 2);
  const next = await killedWhileRunning(command);
  onlyJob().lines.push({ stderr: true, text: "pg_dump: error: gone" });
  fake.end(jobName(command.operationId), 1);
  expect(await resumed(next, command)).toMatchObject({ state: "failed", failure: { message: "pg_dump: error: gone" } });
  expect(fake.count("createJob")).toBe(1);
});

test("after a kill before its start the job that was made is started, once", async () => {
  const command = check(spec, 2);
  const next = await killedAt("startContainer", command);
  expect(onlyJob().state).toBe("created");
  expect((await resumed(next, command)).state).toBe("succeeded");
  expect([fake.count("createJob"), jobs()]).toEqual([1, []]);
});

test("after a kill between the intent and the container the outcome is unknown, and nothing is run", async () => {
  const command = check(spec, 2);
  const next = await killedAt("createJob", command);
  expect(await resumed(next, command)).toMatchObject({
    state: "unknown",
    failure: { code: "outcome_unknown", message: expect.stringContaining(jobName(command.operationId)) },
  });
  const again = next.reborn();
  expect(again.receive(command).outcome).toBe("duplicate");
  again.runner.resume();
  await clock.advance(60_000);
  expect([fake.count("createJob"), jobs()]).toEqual([1, []]);
  expect((await run(check(spec, 3), again)).state).toBe("succeeded");
});

test("a job that somebody removes is unknown, whether the agent is there or not", async () => {
  fake.state.job.code = undefined;
  const first = check(spec, 2);
  rig.receive(first);
  await clock.advance(1_000);
  await fake.docker.removeContainer(jobName(first.operationId));
  expect((await settle(rig.outcome(first.operationId))).state).toBe("unknown");
  const second = check(spec, 3);
  const next = await killedWhileRunning(second);
  await fake.docker.removeContainer(jobName(second.operationId));
  expect((await resumed(next, second)).state).toBe("unknown");
  expect(fake.count("createJob")).toBe(2);
});

test("a cancel and the deadline end the job; one that was done by then has succeeded", async () => {
  fake.state.job.code = undefined;
  const first = check(spec, 2);
  rig.receive(first);
  await clock.advance(1_000);
  rig.runner.cancel(first.operationId);
  expect(await settle(rig.outcome(first.operationId))).toMatchObject({ state: "cancelled" });
  await clock.advance(1_000);
  expect(jobs()).toEqual([]);
  expect((await run(check(spec, 3, { runMs: 5_000 }))).failure?.code).toBe("timed_out");
  await clock.advance(1_000);
  const late = check(spec, 4);
  rig.receive(late);
  await clock.advance(1_000);
  fake.before("stopContainer", (id) => fake.end(id, 0));
  rig.runner.cancel(late.operationId);
  expect((await settle(rig.outcome(late.operationId))).state).toBe("succeeded");
});

test("a Docker that is away in the middle is waited for; the job has gone on", async () => {
  fake.state.job.code = undefined;
  const command = check(spec, 2);
  rig.receive(command);
  await clock.advance(1_000);
  fake.state.down = true;
  await clock.advance(120_000);
  fake.end(jobName(command.operationId), 0);
  fake.state.down = false;
  expect((await settle(rig.outcome(command.operationId))).state).toBe("succeeded");
});

test("a Docker that stays away past the deadline leaves the outcome unknown, and the job is swept when it is back", async () => {
  fake.state.job.code = undefined;
  const command = check(spec, 2, { runMs: 10_000 });
  rig.receive(command);
  await clock.advance(1_000);
  fake.state.down = true;
  expect((await settle(rig.outcome(command.operationId))).state).toBe("unknown");
  await clock.advance(60_000);
  fake.state.down = false;
  expect(jobs()).toHaveLength(1);
  await sweepJobs(rig.deps, new AbortController().signal);
  expect(jobs()).toEqual([]);
});

test("what an ended operation has left is swept; the job of an open one and of another agent are left alone", async () => {
  const ended = check(spec, 2);
  fake.before("removeContainer", neverEnding);
  await run(ended);
  fake.unhook();
  const next = rig.reborn();
  const other = serviceSpec();
  expect((await run(deploy(other), next)).state).toBe("succeeded");
  fake.state.job.code = undefined;
  const open = check(other, 2);
  next.receive(open);
  await clock.advance(1_000);
  const foreign = { ...onlyJobOf(ended.operationId), id: "f", name: "f" };
  foreign.labels = { ...foreign.labels, [LABEL.agent]: newId() };
  fake.containers.set("f", foreign);
  await sweepJobs(next.deps, new AbortController().signal);
  expect(
    jobs()
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual([jobName(open.operationId), "f"].toSorted());
});
const onlyJobOf = (operationId: string) => {
  const job = jobs().find(({ name }) => name === jobName(operationId));
  if (job === undefined) throw new Error("no such job");
  return job;
};

test("a leftover job is not taken for the service's own container, and the next operation removes it", async () => {
  fake.before("removeContainer", neverEnding);
  const command = check(spec, 2);
  await run(command);
  fake.unhook();
  const next = rig.reborn();
  const restarted = restart(spec, 3);
  expect((await run(restarted, next)).state).toBe("succeeded");
  expect(next.lines(restarted.operationId)).toContain(
    `info Container ${jobName(command.operationId)}: removed (left behind by an operation that is over)`,
  );
  expect([jobs(), fake.only().starts]).toEqual([[], 2]);
  expect((await run(remove(spec, 4, true), next)).state).toBe("succeeded");
  expect([fake.containers.size, fake.networks.size]).toEqual([0, 0]);
});

test("one that was acknowledged before its journal was lost is never run anew", async () => {
  const command = check(spec, 2, { acknowledged: true });
  expect((await run(command)).state).toBe("unknown");
  expect(fake.count("createJob")).toBe(0);
  const unknownHere = check(serviceSpec(), 7, { acknowledged: true });
  expect((await run(unknownHere)).state).toBe("unknown");
});

test("a container of somebody else under the job's name is left alone", async () => {
  const command = check(spec, 2);
  const [own] = fake.containers.values();
  if (own === undefined) throw new Error("no container");
  fake.containers.set("x", { ...own, id: "x", name: jobName(command.operationId), labels: {} });
  expect((await run(command)).failure?.code).toBe("policy_refused");
  expect(fake.containers.has("x")).toBe(true);
});

const DEATHS = [
  "findContainer",
  "listContainers",
  "runInside",
  "createJob",
  "startContainer",
  "openLogs",
  "removeContainer",
];

/** Docker as one run of the agent sees it: from its death on nothing comes back, and nothing more is asked. */
function mortal(death: { verb: string; at: number; after: boolean } | undefined): Docker {
  let passed = 0;
  let isDead = false;
  return new Proxy(fake.docker, {
    get(target, verb: keyof Docker) {
      const call = target[verb] as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (isDead) return neverEnding();
        isDead = verb === death?.verb && ++passed === death.at;
        if (isDead && !death?.after) return neverEnding();
        const answer = await call.apply(target, args);
        return isDead ? neverEnding() : answer;
      };
    },
  });
}

test("wherever and however often the agent dies, a check runs at most once and ends once", async () => {
  let generation = 1;
  const outcomes = new Map<string, number>();
  const deathOf = fc.record({
    verb: fc.constantFrom(...DEATHS),
    at: fc.integer({ min: 1, max: 3 }),
    after: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(deathOf, { maxLength: 3 }), fc.boolean(), async (deaths, ends) => {
      fake.state.job.code = ends ? 0 : undefined;
      generation += 1;
      const command = check(spec, generation);
      const name = jobName(command.operationId);
      let [made, runs] = [0, 0];
      fake.before("createJob", () => void ++made);
      fake.before("removeContainer", (id) => {
        runs = Math.max(runs, fake.containers.get(id)?.starts ?? 0);
      });
      let on: Rig | undefined;
      for (const death of [...deaths, undefined]) {
        const isFirst = on === undefined;
        on = rig.reborn({ docker: mortal(death) });
        if (isFirst) on.receive(command);
        else on.runner.resume();
        await clock.advance(3_000);
      }
      fake.end(name, 0);
      const outcome = await settle((on as Rig).outcome(command.operationId));
      await sweepJobs(rig.deps, new AbortController().signal);
      fake.unhook();
      outcomes.set(outcome.state, (outcomes.get(outcome.state) ?? 0) + 1);
      expect(["succeeded", "unknown"]).toContain(outcome.state);
      expect(made).toBeLessThanOrEqual(1);
      expect(runs).toBeLessThanOrEqual(1);
      expect(jobs()).toEqual([]);
    }),
    { numRuns: 60 },
  );
  expect([...outcomes.keys()].toSorted()).toEqual(["succeeded", "unknown"]);
});
