import { expect, test } from "vitest";
import { KEPT_MAX_BYTES, surplus } from "./set-aside.ts";

const file = (name: string, bytes = 1) => ({ name, bytes });

test("keeps the newest sets with all their files, and nothing else is its business", () => {
  const found = [
    ...["1", "2", "3", "10"].flatMap((date) => [file(`j.db.damaged-${date}`), file(`j.db.damaged-${date}-wal`)]),
    ...[file("j.db"), file("j.db-wal"), file("j.db.damaged-"), file("other.db.damaged-1")],
  ];
  expect(surplus(found, "j.db")).toEqual(["j.db.damaged-1", "j.db.damaged-1-wal"]);
});

test("removes the older ones when together they are too large, and one that is too large by itself", () => {
  const large = [file("j.db.damaged-1", KEPT_MAX_BYTES), file("j.db.damaged-2", 10)];
  expect(surplus(large, "j.db")).toEqual(["j.db.damaged-1"]);
  expect(surplus([file("j.db.damaged-1", KEPT_MAX_BYTES + 1)], "j.db")).toEqual(["j.db.damaged-1"]);
});
