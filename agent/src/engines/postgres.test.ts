import { expect, test } from "vitest";
import { postgres } from "./postgres.ts";

const outcome = (exitCode: number, stdout = "") => ({ exitCode, stdout, stderr: "" });

test("reads who the database is and as whom it runs", () => {
  expect(postgres.readProbe(outcome(0, "7711383034201616418\n999 999\n"))).toEqual({
    identity: "7711383034201616418",
    owner: { uid: 999, gid: 999 },
  });
});

test("takes everything else for not ready", () => {
  for (const answer of [
    outcome(10),
    outcome(11),
    outcome(12, "7711\n999 999\n"),
    outcome(0, ""),
    outcome(0, "7711\n"),
  ]) {
    expect(postgres.readProbe(answer)).toBeUndefined();
  }
});

test("asks over TCP and for the daemon as PID 1, because init has a server on the socket", () => {
  const { command, user } = postgres.probe({ name: "orders-db" });
  expect(user).toBe("postgres");
  expect(command.slice(0, 2)).toEqual(["sh", "-c"]);
  expect(command.at(-1)).toBe("orders_db");
  expect(command[2]).toMatch(/proc\/1\/comm[\s\S]*pg_isready -q -h 127\.0\.0\.1/);
});

test("knows the major of a version", () => {
  expect([postgres.majorOf("17"), postgres.majorOf("15.20")]).toEqual([17, 15]);
  expect(() => postgres.majorOf("latest")).toThrow("not a version");
});
