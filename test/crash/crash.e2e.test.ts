/** Ten rows of the table of crash points, others each time; the seed is printed. `npm run test:crash` kills at every one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nameOf, type Row, sampleRows } from "./rows.ts";
import { runUntilReached, type Verdict } from "./run-row.ts";
import { type Stage, startStage } from "./stage.ts";

const ROWS = 10;
/** Every action twice, undisturbed, on a machine that is busy. */
const TABLE_MS = 300_000;
const seed = Number(process.env.DFLOW_CRASH_SEED ?? Date.now() % 1_000_000);

describe(`kill -9 at crash points, DFLOW_CRASH_SEED=${seed}`, () => {
  let stage: Stage;
  let table: Row[];

  beforeAll(async () => {
    stage = await startStage();
    table = await stage.table();
  }, TABLE_MS);
  afterAll(() => stage?.stop());

  async function reachOne(rows: (Row | undefined)[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (const row of rows) {
      if (row === undefined) throw new Error("the table has too few rows");
      const verdict = await runUntilReached(stage.product, stage.actionOf(row), row);
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
