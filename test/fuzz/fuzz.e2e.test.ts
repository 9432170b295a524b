/** A sample of `npm run fuzz`, every run that ever failed, and proof that the oracle contradicts the code where it should. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTemplate, type Template } from "../simulate/template.ts";
import { createRandom } from "../support/random.ts";
import { fuzzAgent } from "./fuzz-agent.ts";
import { fuzzControlPlane } from "./fuzz-control-plane.ts";
import { judgeBytesToControlPlane, judgeTextToAgent, judgeTextToControlPlane } from "./oracle.ts";
import { poolOf } from "./pool.ts";

const SIDES = { agent: fuzzAgent, "control plane": fuzzControlPlane } as const;
const SAMPLE = [1, 2, 3, 4, 5];
/** Seeds above those under which something was wrong once. */
const PAST_FAILURES: Record<keyof typeof SIDES, number[]> = { agent: [1021], "control plane": [402] };

let template: Template;
beforeAll(async () => {
  template = await createTemplate();
});
afterAll(() => template?.remove());

describe.each(["agent", "control plane"] as const)("the %s", (side) => {
  it.each([...SAMPLE, ...PAST_FAILURES[side]])(
    "does what is right with a thousand mutated frames (npm run fuzz -- --seed %i --frames 1000)",
    async (seed) => {
      const { violations, ends } = await SIDES[side](template, seed);
      expect(violations).toEqual([]);
      // A run that ends each connection at once has proved little.
      expect(ends.taken).toBeGreaterThan(300);
      expect(ends["closed with 4400"]).toBeGreaterThan(50);
    },
    60_000,
  );

  it("repeats a run by its seed", async () => {
    const [first, second] = [await SIDES[side](template, 77, 200), await SIDES[side](template, 77, 200)];
    expect(second).toEqual(first);
  });
});

describe("the oracle", () => {
  const ID = "01a208c8-f173-7a56-8c78-cbdd8ca14c54";
  const text = (type: string, data: unknown, seq = 3, session = 7) => JSON.stringify({ type, seq, session, data });
  const heard = { lastSeq: 2, session: 7 };
  const large = "x".repeat(9_000);

  it.each([
    ["a whole frame", text("cancel", { operationId: ID }), "taken"],
    ["a field more", text("cancel", { operationId: ID, why: "x" }), "taken"],
    ["a field less", text("cancel", {}), 4400],
    ["no JSON", "{", 4400],
    ["a gap", text("cancel", { operationId: ID }, 4), 4400],
    ["a repeated number", text("cancel", { operationId: ID }, 2), "dropped"],
    ["another session", text("cancel", { operationId: ID }, 3, 6), 4400],
    ["an unknown type", text("dance", {}), "unknown"],
    ["the word to come back later", text("drain", { reconnectInMs: 5 }), 1001],
    ["a second handshake", text("welcome", { jws: "x" }), 4400],
    ["a frame over the limit", text("dance", "x".repeat(262_144)), 1009],
  ])("says what becomes of %s at an agent", (_what, frame, wanted) => {
    const verdict = judgeTextToAgent(frame, heard, "online");
    expect("code" in verdict ? verdict.code : verdict.is).toBe(wanted);
  });

  it.each([
    ["a report before auth", text("cancel", {}, 1, 0), "challenged", "unknown"],
    ["an ack before auth", text("ack", { operationId: ID, outcome: "accepted" }, 1, 0), "challenged", 4401],
    ["9 KiB before auth", text("error", { code: large, message: "" }, 1, 0), "challenged", 1009],
    ["an ack before ready", text("ack", { operationId: ID, outcome: "accepted" }), "welcomed", 4401],
    ["an ack", text("ack", { operationId: ID, outcome: "accepted" }), "online", "taken"],
    ["an outcome that there is not", text("ack", { operationId: ID, outcome: "perhaps" }), "online", 4400],
    ["a second auth", text("auth", { jws: "x" }), "online", 4400],
  ] as const)("says what becomes of %s at a control plane", (_what, frame, phase, wanted) => {
    const before = phase === "challenged" ? { lastSeq: 0, session: 0 } : heard;
    const verdict = judgeTextToControlPlane(frame, before, phase);
    expect("code" in verdict ? verdict.code : verdict.is).toBe(wanted);
  });

  it("takes bytes for log data in a session only, and only with a header of it", () => {
    const bytes = Buffer.from("0100000000010000000000000000320a", "hex");
    const codeOf = (verdict: ReturnType<typeof judgeBytesToControlPlane>) =>
      "code" in verdict ? verdict.code : verdict.is;
    expect(codeOf(judgeBytesToControlPlane(bytes, "online"))).toBe("taken");
    expect(codeOf(judgeBytesToControlPlane(bytes, "welcomed"))).toBe(4400);
    expect(codeOf(judgeBytesToControlPlane(bytes.subarray(0, 13), "online"))).toBe(4400);
    expect(codeOf(judgeBytesToControlPlane(Buffer.concat([bytes, Buffer.alloc(65_536)]), "online"))).toBe(4400);
  });

  it("takes every golden frame for whole", () => {
    const random = createRandom(1);
    for (const frame of random.shuffled(poolOf("control plane").frames)) {
      const isHandshake = frame.type === "challenge" || frame.type === "welcome";
      if (isHandshake || ["dance", "drain"].includes(frame.type) || JSON.stringify(frame.data).includes("polish"))
        continue;
      const verdict = judgeTextToAgent(JSON.stringify({ ...frame, seq: 3, session: 7 }), heard, "online");
      expect([frame.type, verdict.is]).toEqual([frame.type, "taken"]);
    }
  });
});
