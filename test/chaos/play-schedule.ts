/** Plays one schedule on a stage, lets it calm down, and says where dashboard, API, journal and Docker disagree. */
import type { Service } from "@dflow/protocol";
import { tryDocker } from "../support/docker-engine.ts";
import type { Product } from "../support/product.ts";
import { agreeWithin } from "../support/truth.ts";
import { until } from "../support/until.ts";
import type { Dashboard } from "./dashboard.ts";
import { type Fault, type Schedule, timeline } from "./schedule.ts";
import type { Stage } from "./stage.ts";

export interface Played {
  disagreements: string[];
  /** How often the API answered an action with each status; "none" is no answer. */
  answers: Record<string, number>;
  /** From the last heal to the agreement of all witnesses. */
  settledMs: number;
}

const SETTLE_MS = 60_000;
const PAGE_MS = 15_000;

export async function playSchedule(stage: Stage, dashboard: Dashboard, schedule: Schedule): Promise<Played> {
  const { product } = stage;
  const before = await stage.services();
  // A little earlier than the first action: its clock is the control plane's, and rounded.
  const sinceMs = Date.now() - 100;
  const said: string[] = [];
  const answers: Record<string, number> = {};
  const created: string[] = [];
  const beganMs = performance.now();
  const chains = new Map<string, Promise<void>>();
  const acts: Promise<void>[] = [];

  const noteDeaths = () => {
    for (const one of [product.agent, product.controlPlane]) {
      const how = one.endedByItself();
      if (how === undefined) continue;
      said.push(`the ${one.name} ended by itself (${how}): ${one.log().trimEnd().split("\n").at(-1)?.slice(0, 500)}`);
      // As its service manager would.
      one.start();
    }
  };
  /** A heal waits for its strike; faults of different things go on side by side. */
  const inTurn = (fault: Fault, work: () => Promise<void>) => {
    chains.set(fault, (chains.get(fault) ?? Promise.resolve()).then(work));
  };

  for (const moment of timeline(schedule)) {
    const waitMs = moment.atMs - (performance.now() - beganMs);
    if (waitMs > 0) await new Promise((done) => setTimeout(done, waitMs));
    noteDeaths();
    if (moment.what !== "act") {
      const { what, fault } = moment;
      inTurn(fault, () => (what === "strike" ? stage.strike(fault) : stage.heal(fault)));
      continue;
    }
    const { action } = moment;
    acts.push(
      stage.act(action).then(({ status, code, createdIds }) => {
        const key = [status ?? (code === undefined ? "none" : undefined), code]
          .filter((part) => part !== undefined)
          .join(" ");
        answers[key] = (answers[key] ?? 0) + 1;
        created.push(...createdIds);
        if (status === 500) said.push(`the API answered ${action.wish} with 500 ${code}`);
      }),
    );
  }
  await Promise.all([...chains.values(), ...acts]);
  noteDeaths();
  const calmMs = performance.now();
  await until("the control plane to answer", () => answersReady(product.url), SETTLE_MS);

  const ids = [
    ...new Set([...before.map(({ id }) => id), ...created, ...(await stage.services()).map(({ id }) => id)]),
  ];
  const unacknowledged = schedule.strikes.some(({ fault }) => fault === "agent's disk full");
  const witnessed = { ask: stage.ask, home: product.home, serverId: product.serverId, dockerEnv: product.dockerEnv };
  said.push(...(await settle(() => agreeWithin(witnessed, ids, SETTLE_MS, { sinceMs, unacknowledged }))));
  said.push(...(await shouldRun(stage, SETTLE_MS - (performance.now() - calmMs))));
  const settledMs = performance.now() - calmMs;
  said.push(...(await dashboard.disagreements(stage.services, PAGE_MS)));
  said.push(...(await rowsAreThere(stage)));
  noteDeaths();
  return { disagreements: said, answers, settledMs };
}

async function answersReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok;
  } catch (error) {
    if (error instanceof TypeError || (error instanceof Error && error.name === "TimeoutError")) return false;
    throw error;
  }
}

async function settle(work: () => Promise<number>): Promise<string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const lines = text.split("\n  - ").slice(1);
    return lines.length > 0 ? lines : [text];
  }
}

/** What is wanted running runs, unless the last thing that was tried with it failed and says so. */
async function shouldRun({ services }: Stage, withinMs: number): Promise<string[]> {
  const end = performance.now() + withinMs;
  for (;;) {
    const idle = (await services()).filter(
      ({ desired, deployedAt, state, lastOperation }) =>
        desired === "running" && deployedAt !== null && state !== "running" && lastOperation?.state === "succeeded",
    );
    if (idle.length === 0) return [];
    if (performance.now() > end) {
      return idle.map(({ name, state, observed }) => `${name} should run and is ${state} (${observed.evidence})`);
    }
    await new Promise((done) => setTimeout(done, 500));
  }
}

/** A container that Docker itself started again runs before its database answers; how long may it take? */
const RECOVERY_MS = 20_000;
const RECOVERS = /not yet accepting connections|the database system is starting up|No such file or directory/;

async function answerOf(args: string[], env: Product["dockerEnv"]): ReturnType<typeof tryDocker> {
  const end = performance.now() + RECOVERY_MS;
  for (;;) {
    const answer = await tryDocker(args, { env });
    if (answer.code === 0 || !RECOVERS.test(answer.stderr) || performance.now() > end) return answer;
    await new Promise((done) => setTimeout(done, 500));
  }
}

/** Each database that runs is given a row that names it, once, and has to have it ever after. */
async function rowsAreThere({ product, services, marked }: Stage): Promise<string[]> {
  const said: string[] = [];
  const running = (await services()).filter(({ state }) => state === "running");
  const check = async ({ id, name, observed }: Service) => {
    const mark = `create table kept as select '${id}' as id`;
    const sql = marked.has(id) ? "select id from kept" : mark;
    const args = ["exec", observed.containerId ?? "", "psql", "-U", "postgres", "-d", name.replaceAll("-", "_")];
    const { code, stdout, stderr } = await answerOf([...args, "-Atqc", sql], product.dockerEnv);
    if (code !== 0) said.push(`${name}: the API says running, and it does not answer: ${stderr.trim()}`);
    else if (!marked.has(id)) marked.add(id);
    else if (stdout.trim() !== id) said.push(`${name}: its row is gone, it says ${stdout.trim()}`);
  };
  const left = [...running];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await check(next);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  return said;
}
