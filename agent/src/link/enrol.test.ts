import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeControlPlane, startFakeControlPlane } from "../../test/fake-control-plane.ts";
import { createClock, createFiles, createHost } from "../platform.ts";
import { enrol } from "./enrol.ts";

let folder: string;
let controlPlane: FakeControlPlane;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "dflow-enrol-"));
  controlPlane = await startFakeControlPlane();
});
afterEach(async () => {
  await controlPlane.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(token = controlPlane.token, url = controlPlane.url, dataDir = folder) {
  const host = createHost(folder, () => 0);
  const facts = async () => ({ ...host.facts(), dockerVersion: null, dockerApiVersion: null, agentVersion: "0" });
  return enrol(
    { clock: createClock(), files: createFiles(), fetch, facts },
    { url, dataDir, tokenGiven: true, readToken: async () => token },
  );
}

test("becomes known, keeps who it is in a file for root only, and is known already the second time", async () => {
  const { enrolment, outcome } = await run();
  expect(outcome).toBe("enrolled");
  const path = join(folder, "agent.json");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(enrolment);
  expect(enrolment).toMatchObject({ serverName: "test-server", controlPlaneUrl: controlPlane.url });
  expect(readFileSync(path, "utf8")).not.toContain(controlPlane.token.split(".")[2]);
  expect(await run("anything")).toEqual({ enrolment, outcome: "already" });
});

test("gets the same answer again when the first one was lost", async () => {
  controlPlane.state.dropEnrolAnswers = 2;
  await expect(run()).rejects.toMatchObject({ code: "server_unreachable" });
  await expect(run()).rejects.toMatchObject({ code: "server_unreachable" });
  await run();
  expect(controlPlane.agents.size).toBe(1);
});

test("says what the control plane said when it refuses", async () => {
  const [first, id, , thumbprint] = controlPlane.token.split(".");
  await expect(run([first, id, "x".repeat(43), thumbprint].join("."))).rejects.toMatchObject({
    code: "token_invalid",
    hint: "Make a new one.",
  });
  expect(existsSync(join(folder, "agent.json"))).toBe(false);
});

test("trusts no answer that another key signed", async () => {
  const [first, id, secret] = controlPlane.token.split(".");
  await expect(run([first, id, secret, "y".repeat(43)].join("."))).rejects.toMatchObject({ code: "unauthenticated" });
});

test("refuses what is not a token, and an address that is not https and not this machine", async () => {
  await expect(run("")).rejects.toMatchObject({
    code: "token_invalid",
    message: expect.stringContaining("no enrolment token"),
  });
  await expect(run("jt1.cut")).rejects.toMatchObject({ code: "token_invalid" });
  await expect(run(undefined, "http://dflow.example")).rejects.toThrow("only https leaves this machine");
});

test("says so when nobody answers at the address", async () => {
  await expect(run(undefined, "http://127.0.0.1:1")).rejects.toMatchObject({ code: "server_unreachable" });
});
