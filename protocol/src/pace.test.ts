import { expect, test } from "vitest";
import { paceOf } from "./pace.ts";

const CONFIGURED = { heartbeatMs: 15_000, deadlineMs: 45_000 };

test("few agents keep the configured pace", () => {
  for (const agents of [0, 1, 6_000]) expect(paceOf(agents, CONFIGURED)).toEqual(CONFIGURED);
});

test("many report so seldom that 400 beats come in a second, and may be silent for longer in proportion", () => {
  expect(paceOf(10_000, CONFIGURED)).toEqual({ heartbeatMs: 25_000, deadlineMs: 75_000 });
  expect(paceOf(100_000, CONFIGURED)).toEqual({ heartbeatMs: 250_000, deadlineMs: 750_000 });
});
