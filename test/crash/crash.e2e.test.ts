/** Ten rows of the table of crash points, others each time; the seed is printed. `npm run test:crash` kills at every one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Product, startProduct } from "../support/product.ts";
import { type Action, createActions } from "./actions.ts";
import { nameOf, type Row, sampleRows } from "./rows.ts";
import { AGENT_THAT_FORGIVES, runUntilReached, traceAction, type Verdict } from "./run-row.ts";

const ROWS = 10;
/** Every action twice, undisturbed, on a machine that is busy. */
const TABLE_MS = 300_000;
const seed = Number(process.env.DFLOW_CRASH_SEED ?? Date.now() % 1_000_000);

describe(`kill -9 at crash points, DFLOW_CRASH_SEED=${seed}`, () => {
  let product: Product;
  const actions = new Map<string, Action>();
  const table: Row[] = [];

  beforeAll(async () => {
    product = await startProduct({ crashPoints: true, agentConfig: AGENT_THAT_FORGIVES });
    for (const action of createActions(product, await product.environment())) {
      actions.set(action.name, action);
      table.push(...(await traceAction(product, action)));
    }
  }, TABLE_MS);
  afterAll(() => product?.stop());

  async function reachOne(rows: (Row | undefined)[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const row of rows) {
      const action = actions.get(row?.action ?? "");
      if (row === undefined || action === undefined) throw new Error("the table has too few rows");
      const verdict = await runUntilReached(product, action, row);
      verdicts.push(verdict);
      const outcome = verdict.reached ? `true again after ${verdict.killToTrueMs} ms` : "not passed this time";
      process.stdout.write(`  ${nameOf(row)}: ${outcome}\n`);
      if (verdict.reached) break;
    }
    return verdicts;
  }

  it("knows at least forty places in each process", () => {
    for (const process of ["agent", "control-plane"] as const) {
      const places = new Set(table.filter((row) => row.process === process).map(nameOf));
      expect(places.size).toBeGreaterThanOrEqual(40);
    }
  });

  for (let index = 0; index < ROWS; index += 1) {
    it(`row ${index + 1} ends once, truthfully, and leaves nothing half-made`, async () => {
      const drawn = sampleRows(table, 2 * ROWS, seed);
      // The second half are spares, for a place that depends on timing and was not passed.
      const verdicts = await reachOne([drawn[2 * index], drawn[2 * index + 1]]);
      expect(verdicts.at(-1)).toMatchObject({ reached: true, problems: [] });
    });
  }
});
