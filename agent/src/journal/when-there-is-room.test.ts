import { AppError } from "@dflow/protocol";
import { expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { whenThereIsRoom } from "./when-there-is-room.ts";

test("what does not open on a full disk opens a second after there is room, and is told of once a minute", async () => {
  const [clock, log] = [createFakeClock(), createMemoryLog()];
  let full = true;
  const opened = whenThereIsRoom({ clock, log }, () => {
    if (full) throw new AppError("disk_full", "the disk is full");
    return "open";
  });
  await clock.advance(90_000);
  expect(log.entries).toHaveLength(2);
  full = false;
  await clock.advance(1_000);
  expect(await opened).toBe("open");
});

test("any other error is not waited on", async () => {
  const refused = whenThereIsRoom({ clock: createFakeClock(), log: createMemoryLog() }, () => {
    throw new AppError("service_busy", "another agent runs");
  });
  await expect(refused).rejects.toThrow("another agent");
});
