/** `npm run fuzz -- --frames N --seed S`: N frames a side; the last line is {"frames","seed","violations","seconds"}. */
import { parseArgs } from "node:util";
import { createTemplate } from "../simulate/template.ts";
import { fuzzAgent } from "./fuzz-agent.ts";
import { fuzzControlPlane } from "./fuzz-control-plane.ts";
import { type FuzzRun, heapBytes, RUN_FRAMES } from "./fuzz-run.ts";

const SIDES = { agent: fuzzAgent, "control plane": fuzzControlPlane } as const;

const { values } = parseArgs({
  options: {
    frames: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    /** One of them only. */
    side: { type: "string" },
  },
});
const [wanted, firstSeed] = [Number(values.frames), Number(values.seed)];
if (!Number.isInteger(wanted) || wanted < 1 || !Number.isInteger(firstSeed)) {
  throw new Error("--frames N --seed S: whole numbers");
}
const sides = Object.entries(SIDES).filter(([side]) => values.side === undefined || values.side === side);
if (sides.length === 0) throw new Error("--side agent, or --side “control plane”");

const startedAt = performance.now();
const template = await createTemplate();
let frames = 0;
let violations = 0;
try {
  for (const [side, fuzz] of sides) {
    const ends: Record<string, number> = {};
    let seed = firstSeed;
    for (let left = wanted; left > 0; left -= RUN_FRAMES, seed += 1) {
      const run: FuzzRun = await fuzz(template, seed, Math.min(left, RUN_FRAMES));
      frames += run.frames;
      for (const [end, count] of Object.entries(run.ends)) ends[end] = (ends[end] ?? 0) + count;
      if (run.violations.length === 0) continue;
      violations += 1;
      console.log(
        `seed ${seed} (npm run fuzz -- --side "${side}" --seed ${seed} --frames ${Math.min(left, RUN_FRAMES)}):`,
      );
      for (const what of run.violations) console.log(`  ${what}`);
    }
    console.log(`${side}: ${JSON.stringify(ends)}, heap ${Math.round((heapBytes() ?? 0) / 1_048_576)} MiB`);
  }
} finally {
  template.remove();
}
const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
console.log(JSON.stringify({ frames, seed: firstSeed, violations, seconds }));
process.exitCode = violations === 0 ? 0 : 1;
