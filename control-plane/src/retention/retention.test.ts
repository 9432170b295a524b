import { expect, test } from "vitest";
import { cutoffs, logsOfOneTransaction, ROWS_PER_TRANSACTION } from "./retention.ts";

const DAY = 24 * 3600_000;

test("logs, tokens and invitations go after 30 days, the audit after a year, sessions at their end", () => {
  const now = Date.UTC(2026, 5, 1);
  expect(cutoffs(now)).toEqual({
    operationLog: now - 30 * DAY,
    audit: now - 365 * DAY,
    enrolmentToken: now - 30 * DAY,
    invitation: now - 30 * DAY,
    session: now,
  });
});

test("a transaction takes as many whole logs as fit, in order", () => {
  const logs = [{ lines: ROWS_PER_TRANSACTION - 10 }, { lines: 10 }, { lines: 1 }];
  expect(logsOfOneTransaction(logs)).toEqual(logs.slice(0, 2));
});

test("a log that is longer than a transaction goes alone", () => {
  const long = { lines: ROWS_PER_TRANSACTION * 10 };
  expect(logsOfOneTransaction([long, { lines: 1 }])).toEqual([long]);
  expect(logsOfOneTransaction([{ lines: 1 }, long])).toEqual([{ lines: 1 }]);
  expect(logsOfOneTransaction([])).toEqual([]);
});
