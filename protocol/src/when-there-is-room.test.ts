import { expect, test } from "vitest";
import { AppError } from "./errors.ts";
import { whenThereIsRoom } from "./when-there-is-room.ts";

test("what does not open on a full disk opens a second after there is room, and is told of once a minute", async () => {
  let passedMs = 0;
  const told: string[] = [];
  const pause = async (ms: number) => {
    passedMs += ms;
  };
  const tell = ({ code }: AppError) => void told.push(code);
  const opened = await whenThereIsRoom({ pause, tell }, () => {
    if (passedMs < 90_500) throw new AppError("disk_full", "the disk is full");
    return "open";
  });
  expect([opened, passedMs, told]).toEqual(["open", 91_000, ["disk_full", "disk_full"]]);
});

test("any other error is not waited on", async () => {
  const effects = { pause: () => Promise.reject(new Error("paused")), tell: () => undefined };
  const refused = whenThereIsRoom(effects, () => {
    throw new AppError("service_busy", "another agent runs");
  });
  await expect(refused).rejects.toThrow("another agent");
});
