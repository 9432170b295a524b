/** The golden transcripts: what agents and control planes of each version say to each other, and the code that still does. */
import { toAgentSchema, toControlPlaneSchema } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTemplate, type Template } from "../simulate/template.ts";
import { TRANSCRIPT_KEYS } from "./keys.ts";
import { CURRENT, digestOf, type Line, RELEASED, type Side, transcriptsOf, versions } from "./lines.ts";
import { record } from "./record.ts";
import { firstMissing, replayToAgent, replayToControlPlane, type Word } from "./replay.ts";
import { SCENES } from "./scenes.ts";

let template: Template;
beforeAll(async () => {
  template = await createTemplate(TRANSCRIPT_KEYS);
});
afterAll(() => template?.remove());

describe.each(versions())("the transcripts of %s", (version) => {
  it.each(transcriptsOf(version))("are answered by the agent of today: $name", async (transcript) => {
    const { expected, said, violations } = await replayToAgent(template, transcript);
    expect(violations).toEqual([]);
    if (version === CURRENT) expect(said).toEqual(expected);
    expect(firstMissing(expected, said)).toBeUndefined();
  });

  it.each(transcriptsOf(version))("are answered by the control plane of today: $name", async (transcript) => {
    const { expected, said, violations } = await replayToControlPlane(template, transcript);
    expect(violations).toEqual([]);
    if (version === CURRENT) expect(said).toEqual(expected);
    expect(firstMissing(expected, said)).toBeUndefined();
  });
});

describe("the transcripts of the version that is spoken now", () => {
  it("are kept", () => {
    expect(versions()).toContain(CURRENT);
    expect(transcriptsOf(CURRENT).map(({ name }) => name)).toEqual(SCENES.map(({ name }) => name).toSorted());
  });

  it.each(SCENES)("are what both sides say: $name (npm run transcripts records them anew)", async (scene) => {
    const kept = transcriptsOf(CURRENT).find(({ name }) => name === scene.name);
    expect((await record(template, scene)).lines).toEqual(kept?.lines);
  });

  it("hold every frame that there is", () => {
    const lines = transcriptsOf(CURRENT).flatMap((transcript) => transcript.lines);
    const missing = (side: Side, types: string[]) =>
      types.filter((type) => !lines.some((line) => says(line, side, type)));
    expect([
      missing(
        "control plane",
        toAgentSchema.options.map(({ shape }) => shape.type.value),
      ),
      missing(
        "agent",
        toControlPlaneSchema.options.map(({ shape }) => shape.type.value),
      ),
    ]).toEqual([[], []]);
    expect(lines.some((line) => "bytes" in line)).toBe(true);
  });
});

it("leaves the transcripts of each version that a release speaks as they were", () => {
  const older = versions().filter((version) => version !== CURRENT);
  expect(older.filter((version) => !(version in RELEASED))).toEqual([]);
  for (const [version, digest] of Object.entries(RELEASED))
    expect([version, digestOf(version)]).toEqual([version, digest]);
});

describe("an older transcript", () => {
  const frame = (seq: number, data: object): Word => ({ conn: 1, frame: { type: "ack", seq, session: 1, data } });
  const old = [frame(3, { outcome: "accepted" }), frame(4, { outcome: "duplicate" })];

  it("may be answered with more fields and more frames", () => {
    const now = [frame(3, { outcome: "accepted", lane: 2 }), frame(4, {}), frame(5, { outcome: "duplicate" })];
    expect(firstMissing(old, now)).toBeUndefined();
  });

  it.each([
    ["a field less", [frame(3, { outcome: "accepted" }), frame(4, {})]],
    ["another value", [frame(3, { outcome: "accepted" }), frame(4, { outcome: "rejected" })]],
    ["another order", [...old].reverse()],
    ["silence", []],
  ])("may not be answered with %s", (_what, now) => {
    expect(firstMissing(old, now)).toBeDefined();
  });
});

const says = (line: Line, side: Side, type: string): boolean =>
  "frame" in line && line.from === side && line.frame.type === type;
