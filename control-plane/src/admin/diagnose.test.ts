import { expect, test } from "vitest";
import { diagnose, type Facts, isWrong } from "./diagnose.ts";

const NOW = Date.UTC(2026, 5, 1);
const HEALTHY: Facts = {
  now: NOW,
  dataDir: "/data",
  folders: [{ name: "/data", mode: 0o700, isOwn: true }],
  files: [{ name: "/data/control-plane.sqlite", mode: 0o600, isOwn: true }],
  keysProblem: undefined,
  database: { damage: [], migrated: true, unknownMigrations: [], sealedOpen: true },
  disk: { freeBytes: 50 * 1024 ** 3, databaseBytes: 1024 ** 2 },
  ready: { url: "http://127.0.0.1:3100/readyz", status: 200, problem: undefined },
  webDir: "/web",
  servers: [{ name: "one", lastSeenAt: NOW - 20_000, connectedAt: NOW - 3_600_000 }],
  newestRowAt: NOW - 1_000,
};
const whatIsWrong = (change: Partial<Facts>) =>
  diagnose({ ...HEALTHY, ...change })
    .filter(({ level }) => level !== "ok")
    .map(({ level, about, text, todo }) => [level, about, text, todo !== undefined]);

test("a healthy control plane has nothing to say but ok", () => {
  expect(diagnose(HEALTHY).every(({ level }) => level === "ok")).toBe(true);
  expect(diagnose(HEALTHY).some(isWrong)).toBe(false);
});

test("each thing that is wrong is named once, with what to do", () => {
  const database = { damage: [], migrated: true, unknownMigrations: [], sealedOpen: true };
  const cases: [Partial<Facts>, string, RegExp][] = [
    [{ folders: [{ name: "/data", mode: 0o755, isOwn: true }] }, "/data", /other users .*755/],
    [{ files: [{ name: "/data/k", mode: undefined, isOwn: false }] }, "/data/k", /missing/],
    [{ keysProblem: "a key file is missing" }, "keys", /missing/],
    [{ database: { ...database, sealedOpen: false } }, "keys", /not the one/],
    [{ database: { ...database, damage: ["row 3 missing"] } }, "database", /row 3 missing/],
    [{ database: { ...database, migrated: false } }, "migrations", /not run/],
    [{ database: { ...database, unknownMigrations: ["0099-later"] } }, "migrations", /0099-later/],
    [{ disk: { freeBytes: 1024, databaseBytes: 0 } }, "disk", /free/],
    [{ ready: { url: "u", status: 503, problem: undefined } }, "control plane", /503/],
    [{ webDir: undefined }, "dashboard", /not built/],
    [{ newestRowAt: NOW + 3_600_000 }, "clock", /written down at 2026-06-01T01/],
  ];
  for (const [change, about, words] of cases) {
    expect(whatIsWrong(change)).toEqual([["wrong", about, expect.stringMatching(words), true]]);
  }
});

test("a server that is away is wrong with its time, and only to look at while the control plane itself is down", () => {
  const away = [{ name: "one", lastSeenAt: NOW - 600_000, connectedAt: NOW - 900_000 }];
  const text = "unreachable since 2026-05-31T23:50:00.000Z";
  expect(whatIsWrong({ servers: away })).toEqual([["wrong", "server one", text, true]]);
  const down = { url: "u", status: undefined, problem: "refused" };
  expect(whatIsWrong({ servers: away, ready: down })).toEqual([
    ["wrong", "control plane", "does not answer at u: refused", true],
    ["warning", "server one", text, true],
  ]);
});

test("little space is a warning before it is wrong", () => {
  expect(whatIsWrong({ disk: { freeBytes: 500 * 1024 ** 2, databaseBytes: 0 } })[0]?.[0]).toBe("warning");
});
