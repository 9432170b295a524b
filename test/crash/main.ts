/** The whole table of crash points, by `npm run test:crash`: every row is killed in a real run. Arguments: --only TEXT, --from ROW, --seed S --rows N. */
import { parseArgs } from "node:util";
import { nameOf, sampleRows } from "./rows.ts";
import { runUntilReached, type Verdict } from "./run-row.ts";
import { startStage } from "./stage.ts";

const { values } = parseArgs({
  options: { only: { type: "string" }, from: { type: "string" }, rows: { type: "string" }, seed: { type: "string" } },
});

const stage = await startStage();
try {
  const table = await stage.table();
  const wanted = table.filter((row) => nameOf(row).includes(values.only ?? ""));
  const drawn = values.rows === undefined ? wanted : sampleRows(wanted, Number(values.rows), Number(values.seed ?? 1));
  const rows = drawn.slice(Number(values.from ?? 1) - 1);
  say(`${table.length} crash points, of which ${rows.length} are killed now`);

  const verdicts: Verdict[] = [];
  for (const [index, row] of rows.entries()) {
    const verdict = await runUntilReached(stage.product, stage.actionOf(row), row);
    verdicts.push(verdict);
    const outcome = verdict.reached ? `${verdict.killToTrueMs} ms`.padStart(9) : "not reached".padStart(9);
    say(`${String(index + 1).padStart(3)}/${rows.length} ${outcome}  ${nameOf(row)}`);
    for (const problem of verdict.problems) say(`      PROBLEM: ${problem}`);
  }

  const reached = verdicts.filter((verdict) => verdict.reached);
  const times = reached.map(({ killToTrueMs }) => killToTrueMs).toSorted((a, b) => a - b);
  const problems = verdicts.filter((verdict) => verdict.problems.length > 0).length;
  const figures = {
    points: rows.length,
    agent: reached.filter(({ row }) => row.process === "agent").length,
    controlPlane: reached.filter(({ row }) => row.process === "control-plane").length,
    notReached: rows.length - reached.length,
    problems,
    killToTrueMedianMs: times[Math.floor(times.length / 2)] ?? null,
    killToTrueMaxMs: times.at(-1) ?? null,
  };
  say(JSON.stringify(figures));
  process.exitCode = problems > 0 || figures.notReached > 0 ? 1 : 0;
} finally {
  await stage.stop();
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
