/** One row of the table: arm the place, act, see the process die there, start it again, and hold what follows to the clock. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Process, Product } from "../support/product.ts";
import { agreeWithin } from "../support/truth.ts";
import { until } from "../support/until.ts";
import type { Act, Action } from "./actions.ts";
import { commonRows, type ProcessName, type Row, rowsOf } from "./rows.ts";

/** From the moment the killed process is back. */
const TRUE_WITHIN_MS = 15_000;
const ACTION_MS = 60_000;
/** A place behind the answer of the request (a heartbeat's write, a retention's) has this long to be passed. */
const LINGER_MS = 800;
/** A place that depends on timing (a poll, a batch of lines) may not be passed at the first try. */
const TRIES = 4;

export interface Verdict {
  row: Row;
  /** False when the action came to its end without passing the place. */
  reached: boolean;
  /** From kill -9, at once followed by a start, until every witness said the same. */
  killToTrueMs: number;
  problems: string[];
}

const folderOf = (product: Product, process: ProcessName) => join(product.home, `crash-${process}`);
const processOf = (product: Product, name: ProcessName): Process =>
  name === "agent" ? product.agent : product.controlPlane;

/** The rows of one action: it is carried out twice, undisturbed. */
export async function traceAction(product: Product, action: Action): Promise<Row[]> {
  return commonRows(await traceOnce(product, action), await traceOnce(product, action));
}

async function traceOnce(product: Product, action: Action): Promise<Row[]> {
  const sinceMs = Date.now();
  const act = await action.prepare();
  await calm(product, act, sinceMs);
  const names: ProcessName[] = ["agent", "control-plane"];
  for (const name of names) rmSync(join(folderOf(product, name), "passed"), { force: true });
  await act.request();
  await ended(product, act);
  await sleep(LINGER_MS);
  const rows = names.flatMap((name) => {
    const file = join(folderOf(product, name), "passed");
    return existsSync(file) ? rowsOf(action.name, name, readFileSync(file, "utf8").trimEnd().split("\n")) : [];
  });
  const problems = await act.problems();
  if (problems.length > 0) throw new Error(`${action.name}, undisturbed: ${problems.join("; ")}`);
  await act.clear();
  return rows;
}

export async function runUntilReached(product: Product, action: Action, row: Row): Promise<Verdict> {
  for (let tried = 1; ; tried += 1) {
    const verdict = await runRow(product, action, row);
    if (verdict.reached || tried === TRIES) return verdict;
  }
}

async function runRow(product: Product, action: Action, row: Row): Promise<Verdict> {
  const sinceMs = Date.now();
  const act = await action.prepare();
  await calm(product, act, sinceMs);
  const victim = processOf(product, row.process);
  const armed = join(folderOf(product, row.process), "armed");
  writeFileSync(`${armed}.new`, `${row.point}#${row.occurrence}`);
  renameSync(`${armed}.new`, armed);
  // The kill may cut the connection: what became of the request is asked of the tables.
  const answered = act.request().catch(() => undefined);
  const reached = await died(product, victim, act, answered);
  rmSync(armed, { force: true });
  if (!reached) {
    await act.clear();
    return { row, reached, killToTrueMs: 0, problems: [] };
  }
  const killedAt = performance.now();
  victim.start();
  await answered;
  await ready(product);
  const readyAt = performance.now();
  const problems: string[] = [];
  try {
    await ended(product, act, TRUE_WITHIN_MS);
    const leftMs = Math.round(readyAt + TRUE_WITHIN_MS - performance.now());
    await agree(product, act, sinceMs, leftMs);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  const killToTrueMs = Math.round(performance.now() - killedAt);
  problems.push(...(await act.problems()));
  await act.clear();
  return { row, reached, killToTrueMs, problems };
}

/** True when it died at its place; false when the action had ended and nothing followed. */
async function died(product: Product, victim: Process, act: Act, answered: Promise<unknown>): Promise<boolean> {
  const over = answered.then(() => ended(product, act)).then(() => sleep(LINGER_MS));
  let isOver = false;
  over.then(
    () => {
      isOver = true;
    },
    () => undefined,
  );
  return until(
    "the end of the process, or of the action",
    () => (victim.isAlive() ? isOver && "over" : "died"),
    ACTION_MS,
  ).then((what) => what === "died");
}

async function ready(product: Product): Promise<void> {
  await until("control plane ready", async () => (await fetch(`${product.url}/readyz`).catch(() => undefined))?.ok);
  await until(
    "agent online",
    async () => (await product.call("GET", `/servers/${product.serverId}`)).link === "online",
  );
}

/** No operation of its services is open any more. */
async function ended(product: Product, act: Act, timeoutMs = ACTION_MS): Promise<void> {
  for (const id of act.services) {
    await until(
      "the operation's end",
      async () => {
        const answer = await product.ask<{ openOperation: unknown }>("GET", `/services/${id}`).catch(() => undefined);
        return answer?.status === 404 || (answer?.status === 200 && answer.body.openOperation === null);
      },
      timeoutMs,
    );
  }
}

/** Operations of earlier rows were judged in their own; to read them all again would meet the API's rate limit. */
async function agree(product: Product, act: Act, sinceMs: number, timeoutMs: number): Promise<void> {
  if (act.services.length > 0)
    await agreeWithin(product, act.services, timeoutMs, { sinceMs, unknown: act.unknown?.() ?? [] });
}

async function calm(product: Product, act: Act, sinceMs: number): Promise<void> {
  await ready(product);
  await agree(product, act, sinceMs, TRUE_WITHIN_MS);
}
