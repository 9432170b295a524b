/** The command `npm run chaos`: many schedules on one stage, progress on stderr, last one line of JSON on stdout. */
import { cpSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Dashboard, openDashboard } from "./dashboard.ts";
import { type Played, playSchedule } from "./play-schedule.ts";
import { describeSchedule, makeSchedule } from "./schedule.ts";
import { type Stage, setStage } from "./stage.ts";

const SLOTS = 20;
const EVIDENCE = resolve(import.meta.dirname, "../../.dflow/chaos");

const { values } = parseArgs({ options: { schedules: { type: "string" }, seed: { type: "string" } } });
const schedules = wholeNumber("--schedules", values.schedules ?? "10");
const seed = wholeNumber("--seed", values.seed ?? String(Date.now() % 1_000_000));
process.exitCode = (await run(seed, schedules)) > 0 ? 1 : 0;

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  process.stderr.write(`${name} needs a whole number, not "${text}"\n`);
  process.exit(2);
}

async function run(first: number, count: number): Promise<number> {
  let disagreements = 0;
  let set: { stage: Stage; dashboard: Dashboard } | undefined;
  const clear = async () => {
    await set?.dashboard.close();
    await set?.stage.remove();
    set = undefined;
  };
  // In the middle of a schedule nobody could tell what has to be cleared away.
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (interrupted) process.exit(130);
      interrupted = true;
      say("this schedule is the last one; once more ends at once and leaves everything behind");
    });
  }
  let played = 0;
  try {
    for (let index = 0; index < count && !interrupted; index += 1) {
      const schedule = makeSchedule(first + index, SLOTS);
      const beganMs = performance.now();
      set ??= await prepare();
      await set.stage.fillUp();
      const readyMs = performance.now();
      say(`schedule ${index + 1}/${count}, seed ${schedule.seed}: ${describeSchedule(schedule)}`);
      const result = await playSchedule(set.stage, set.dashboard, schedule);
      played += 1;
      disagreements += result.disagreements.length;
      say(`  ${summary(result, performance.now() - readyMs, readyMs - beganMs)}`);
      if (result.disagreements.length === 0) continue;
      for (const sentence of result.disagreements) say(`  - ${sentence}`);
      const kept = join(EVIDENCE, String(schedule.seed));
      mkdirSync(kept, { recursive: true });
      cpSync(set.stage.product.home, kept, { recursive: true, filter: (path) => !path.includes("ballast") });
      say(`  files of agent and control plane kept in ${kept}; the next schedule gets a stage of its own`);
      await clear();
    }
  } finally {
    await clear();
  }
  process.stdout.write(`${JSON.stringify({ seed: first, schedules: played, disagreements })}\n`);
  return disagreements;
}

async function prepare(): Promise<{ stage: Stage; dashboard: Dashboard }> {
  say(`setting the stage: one agent, ${SLOTS} databases`);
  const stage = await setStage(SLOTS);
  try {
    await stage.fillUp();
    return { stage, dashboard: await openDashboard(stage.product, stage.environmentId) };
  } catch (error) {
    await stage.remove();
    throw error;
  }
}

function summary({ disagreements, answers, settledMs }: Played, tookMs: number, preparedMs: number): string {
  const seconds = (ms: number) => (ms / 1_000).toFixed(1);
  const told = Object.entries(answers).map(([answer, times]) => `${times} × ${answer}`);
  return (
    `${disagreements.length} disagreements; settled ${seconds(settledMs)} s after the last fault; ${seconds(tookMs)} s in all, ` +
    `${seconds(preparedMs)} s to prepare; answers: ${told.join(", ")}`
  );
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
