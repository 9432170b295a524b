import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type EpochFacts, judgeEpoch } from "./epoch.ts";

const plain = { quarantined: false, overtaken: false };

describe("an offered epoch", () => {
  const rows: [string, Omit<EpochFacts, "quarantined" | "overtaken">, string][] = [
    ["is the first", { offered: 0, epoch: 0, pending: null }, "accepted 0, next 1"],
    ["is the promoted one", { offered: 7, epoch: 7, pending: null }, "accepted 7, next 8"],
    ["is the promoted one, whose welcome was lost", { offered: 7, epoch: 7, pending: 8 }, "accepted 7, next 9"],
    ["is the pending one, whose ready was lost", { offered: 8, epoch: 7, pending: 8 }, "accepted 8, next 9"],
    ["is the pending one after several lost welcomes", { offered: 12, epoch: 7, pending: 12 }, "accepted 12, next 13"],
    ["is ahead of a restored control plane", { offered: 20, epoch: 7, pending: null }, "restored 20, next 21"],
    ["is ahead of a restored one that had one pending", { offered: 20, epoch: 7, pending: 9 }, "restored 20, next 21"],
    ["is one behind", { offered: 6, epoch: 7, pending: null }, "conflict"],
    ["is far behind", { offered: 0, epoch: 7, pending: 8 }, "conflict"],
    ["was pending once, and another was welcomed since", { offered: 8, epoch: 7, pending: 9 }, "conflict"],
  ];
  it.each(rows)("that %s", (_, facts, expected) => {
    const judged = judgeEpoch({ ...facts, ...plain });
    const said =
      judged.verdict === "accepted"
        ? `${judged.restored ? "restored" : "accepted"} ${judged.epoch}, next ${judged.pending}`
        : judged.verdict;
    expect(said).toBe(expected);
  });

  it("changes nothing once the server is quarantined, whatever it is", () => {
    for (const offered of [0, 7, 8, 100]) {
      const facts = { offered, epoch: 7, pending: 8, quarantined: true, overtaken: true };
      expect(judgeEpoch(facts)).toEqual({ verdict: "quarantined" });
    }
  });

  it("accuses nobody when it may have been on its way while another connection was welcomed", () => {
    for (const offered of [6, 7, 8]) {
      const facts = { offered, epoch: 7, pending: 8, quarantined: false, overtaken: true };
      expect(judgeEpoch(facts)).toEqual({ verdict: "overtaken" });
    }
  });
});

/** What happens to an agent's connections, of which some end at the welcome and some at the ready. */
const fates = fc.constantFrom("welcome lost", "ready lost", "whole");

test("one agent is never taken for two, whichever of its welcomes and readies are lost", () => {
  fc.assert(
    fc.property(fc.array(fates, { maxLength: 40 }), (connections) => {
      let onDisk = 0;
      let row: { epoch: number; pending: number | null } = { epoch: 0, pending: null };
      for (const fate of connections) {
        const judged = judgeEpoch({ offered: onDisk, ...row, ...plain });
        if (judged.verdict !== "accepted") throw new Error(judged.verdict);
        expect(judged.restored).toBe(false);
        row = { epoch: judged.epoch, pending: judged.pending };
        if (fate === "welcome lost") continue;
        onDisk = judged.pending;
        if (fate === "whole") row = { epoch: judged.pending, pending: null };
      }
    }),
  );
});

test("of two copies one is found out by the second connect after both were welcomed once", () => {
  const turns = fc.array(fc.record({ who: fc.constantFrom(0, 1), fate: fates }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(turns, (connections) => {
      const onDisk = [5, 5];
      const wrote = [false, false];
      let row: { epoch: number; pending: number | null } = { epoch: 5, pending: null };
      for (const { who, fate } of connections) {
        const other = 1 - who;
        const judged = judgeEpoch({ offered: onDisk[who] ?? 0, ...row, ...plain });
        // The other has been welcomed and has written that down; this one has not connected since.
        if (wrote[other] && (onDisk[other] ?? 0) > (onDisk[who] ?? 0) && row.epoch >= (onDisk[other] ?? 0)) {
          expect(judged.verdict).toBe("conflict");
        }
        if (judged.verdict !== "accepted") return;
        row = { epoch: judged.epoch, pending: judged.pending };
        if (fate === "welcome lost") continue;
        onDisk[who] = judged.pending;
        wrote[who] = true;
        if (fate === "whole") row = { epoch: judged.pending, pending: null };
      }
      // Whoever got so far without an accusation was alone, or nobody had got a whole connection through.
      expect(onDisk[0] === onDisk[1] && onDisk[0] !== 5).toBe(false);
    }),
  );
});
