/** `npm run simulate -- --seeds N --from S`: the last line is {"seeds","violations","seconds"}. */
import { parseArgs } from "node:util";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";
import { createTemplate } from "./template.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    /** Prints what happened in the run of the one seed. */
    trace: { type: "boolean", default: false },
    /** Ends at the first seed that is wrong. */
    first: { type: "boolean", default: false },
  },
});
const [count, from] = [Number(values.seeds), Number(values.from)];
if (!Number.isInteger(count) || count < 1 || !Number.isInteger(from))
  throw new Error("--seeds N --from S: whole numbers");

if (values.trace) {
  const template = await createTemplate();
  try {
    const { trace, violations } = await runSeed(template, from);
    console.log([...trace, ...violations.map((what) => `VIOLATION ${what}`)].join("\n"));
    process.exitCode = violations.length === 0 ? 0 : 1;
  } finally {
    template.remove();
  }
} else {
  const startedAt = performance.now();
  const failures = await runSeeds(
    Array.from({ length: count }, (_, nth) => from + nth),
    values.first,
  );
  for (const { seed, violations } of failures) {
    console.log(`seed ${seed}:\n${violations.map((what) => `  ${what}`).join("\n")}`);
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  console.log(JSON.stringify({ seeds: count, violations: failures.length, seconds }));
  process.exitCode = failures.length === 0 ? 0 : 1;
}
