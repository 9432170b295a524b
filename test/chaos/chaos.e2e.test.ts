/** A sample of `npm run chaos`: two schedules that nobody chose, over the same twenty databases. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { whyNoOwnEngine } from "../support/own-engine.ts";
import { type Dashboard, openDashboard } from "./dashboard.ts";
import { playSchedule } from "./play-schedule.ts";
import { describeSchedule, makeSchedule } from "./schedule.ts";
import { type Stage, setStage } from "./stage.ts";

const SLOTS = 20;
const SETTING_MS = 300_000;
const obstacle = whyNoOwnEngine();
/** Another in each run; the test's name says which, so that it can be played again. */
const seed = Date.now() % 1_000_000;

describe("random faults", () => {
  let stage: Stage;
  let dashboard: Dashboard;

  beforeAll(async () => {
    if (obstacle !== undefined) return;
    stage = await setStage(SLOTS);
    await stage.fillUp();
    dashboard = await openDashboard(stage.product, stage.environmentId);
  }, SETTING_MS);
  afterAll(async () => {
    await dashboard?.close();
    await stage?.remove();
  });
  beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

  it.each([seed, seed + 1])(
    "leave dashboard, API, journal, Docker and the databases' rows in agreement (npm run chaos -- --seed %i --schedules 1)",
    async (one) => {
      const schedule = makeSchedule(one, SLOTS);
      await stage.fillUp();
      const { disagreements, settledMs } = await playSchedule(stage, dashboard, schedule);
      console.log(
        `chaos, seed ${one}: ${describeSchedule(schedule)}; settled ${Math.round(settledMs)} ms after the last fault`,
      );
      expect(disagreements).toEqual([]);
    },
    SETTING_MS,
  );
});
