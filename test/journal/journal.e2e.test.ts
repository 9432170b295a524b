/** A sample of `npm run test:journal`, every round that ever failed, and what damage does. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTemplate, type Template } from "../simulate/template.ts";
import { createRandom } from "../support/random.ts";
import { damage, damageOf } from "./damage.ts";
import { playRound } from "./play.ts";

/** The same ones each time: what they find was made by the change at hand. New ones are for the command. */
const ROUNDS = 40;
/** Seeds above those under which something was wrong once. */
const PAST_FAILURES: number[] = [];

let template: Template;
beforeAll(async () => {
  template = await createTemplate();
});
afterAll(() => template?.remove());

it("touches nothing that runs and ends with the truth, whatever happened to the journal (npm run test:journal -- --seed SEED --trace)", async () => {
  for (const seed of [...PAST_FAILURES, ...Array.from({ length: ROUNDS }, (_, nth) => 1 + nth)]) {
    const { violations } = await playRound(template, seed);
    expect({ seed, violations }).toEqual({ seed, violations: [] });
  }
}, 300_000);

it("damages what it says, and each kind of it comes up", () => {
  const kinds = new Set<string>();
  const folder = mkdtempSync(join(tmpdir(), "dflow-damage-"));
  try {
    const earlier = join(folder, "earlier");
    mkdirSync(earlier);
    const path = join(folder, "journal.db");
    for (let seed = 0; seed < 200; seed += 1) {
      const planned = damageOf(createRandom(seed));
      kinds.add(planned.do);
      if (planned.do === "spoil row") continue;
      const files = "file" in planned ? [planned.file] : planned.files;
      if (!files.includes("journal.db")) continue;
      // What is written over a byte may be what stood there, but not of both.
      const isSame = [0x77, 0x88].every((byte) => {
        const whole = Buffer.alloc(20_000, byte);
        writeFileSync(path, whole);
        damage(folder, earlier, planned);
        return existsSync(path) && readFileSync(path).equals(whole);
      });
      expect({ planned, isSame }).toEqual({ planned, isSame: false });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  expect(kinds.size).toBe(8);
});
