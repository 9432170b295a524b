import { expect, test } from "vitest";
import { createSharedSync } from "./shared-sync.ts";

/** A disk whose syncs end when the test says so. */
function createDisk() {
  const syncs: PromiseWithResolvers<void>[] = [];
  const sync = () => {
    const one = Promise.withResolvers<void>();
    syncs.push(one);
    return one.promise;
  };
  return { syncs, sync };
}

const settle = () => new Promise((done) => setImmediate(done));

test("whoever writes while a sync is under way waits for the next one, and all of them share it", async () => {
  const disk = createDisk();
  const shared = createSharedSync(disk.sync);
  const done: string[] = [];
  const write = (name: string) => void shared.synced().then(() => done.push(name));
  write("first");
  write("second");
  write("third");
  expect(disk.syncs).toHaveLength(1);
  disk.syncs[0]?.resolve();
  await settle();
  expect([done, disk.syncs.length]).toEqual([["first"], 2]);
  disk.syncs[1]?.resolve();
  await settle();
  expect([done, disk.syncs.length]).toEqual([["first", "second", "third"], 2]);
  write("fourth");
  expect(disk.syncs).toHaveLength(3);
});

test("after a sync that failed nothing is said to be on the disk any more", async () => {
  const disk = createDisk();
  const shared = createSharedSync(disk.sync);
  const first = shared.synced();
  const second = shared.synced();
  disk.syncs[0]?.reject(new Error("EIO: i/o error, fdatasync"));
  await expect(first).rejects.toThrow("EIO");
  await expect(second).rejects.toThrow("EIO");
  await expect(shared.synced()).rejects.toThrow("EIO");
  expect(disk.syncs).toHaveLength(1);
});
