import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeControlPlane, startFakeControlPlane } from "../../test/fake-control-plane.ts";
import type { Files } from "../deps.ts";
import { createClock, createFiles, createHost } from "../platform.ts";
import { enrol } from "./enrol.ts";

let folder: string;
let controlPlane: FakeControlPlane;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "dflow-rekey-"));
  controlPlane = await startFakeControlPlane();
});
afterEach(async () => {
  await controlPlane.stop();
  rmSync(folder, { recursive: true, force: true });
});

function run(token: string | undefined, dataDir = folder, files: Files = createFiles()) {
  const host = createHost(folder, () => 0);
  const facts = async () => ({ ...host.facts(), dockerVersion: null, dockerApiVersion: null, agentVersion: "0" });
  const readToken = async () => {
    if (token === undefined) throw new Error("nobody is there to be asked");
    return token;
  };
  const request = { url: controlPlane.url, dataDir, tokenGiven: token !== undefined, readToken };
  return enrol({ clock: createClock(), files, fetch, facts }, request);
}

const textOf = (name: string) => readFileSync(join(folder, name), "utf8");
const newKeyWaits = () => existsSync(join(folder, "key.new.json"));

test("replaces the key and nothing else, and is done already the second time", async () => {
  const { enrolment } = await run(controlPlane.token);
  const before = textOf("key.json");
  writeFileSync(join(folder, "journal.db"), "the journal");
  const rekeyed = await run(controlPlane.rekeyToken);
  expect(rekeyed).toMatchObject({ outcome: "rekeyed", enrolment });
  expect(textOf("key.json")).not.toBe(before);
  expect(statSync(join(folder, "key.json")).mode & 0o777).toBe(0o600);
  expect([textOf("journal.db"), newKeyWaits(), controlPlane.agents.size]).toEqual(["the journal", false, 1]);
  const after = textOf("key.json");
  expect((await run(controlPlane.rekeyToken)).outcome).toBe("already");
  expect(textOf("key.json")).toBe(after);
});

test("asks nobody for a token on a server that is known, and takes none for a new server", async () => {
  await run(controlPlane.token);
  const before = textOf("key.json");
  for (const token of [undefined, "", controlPlane.token]) expect((await run(token)).outcome).toBe("already");
  expect(textOf("key.json")).toBe(before);
});

test("gets the same answer with the same new key when the first one was lost, and keeps the old key until then", async () => {
  await run(controlPlane.token);
  const before = textOf("key.json");
  controlPlane.state.dropEnrolAnswers = 2;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await expect(run(controlPlane.rekeyToken)).rejects.toMatchObject({ code: "server_unreachable" });
    expect([textOf("key.json"), newKeyWaits()]).toEqual([before, true]);
  }
  const [promised] = controlPlane.agents.keys();
  expect((await run(controlPlane.rekeyToken)).outcome).toBe("rekeyed");
  expect([...controlPlane.agents.keys()]).toEqual([promised]);
});

test("is finished by the same token wherever it was killed", async () => {
  await run(controlPlane.token);
  const real = createFiles();
  for (const [name, verb] of [
    ["key.new.json", "write"],
    ["key.json", "write"],
    ["agent.json", "write"],
    ["key.new.json", "remove"],
  ]) {
    for (const when of ["before", "after"]) {
      const killed = (path: string, now: string, work: () => void) => {
        const isHere = path.endsWith(`/${name}`) && now === verb;
        if (isHere && when === "before") throw new Error("killed");
        work();
        if (isHere) throw new Error("killed");
      };
      const files: Files = {
        ...real,
        writeDurably: (path, text, mode) => killed(path, "write", () => real.writeDurably(path, text, mode)),
        remove: (path) => killed(path, "remove", () => real.remove(path)),
      };
      // Each time a token of its own, as far as the agent can see.
      writeFileSync(join(folder, "agent.json"), textOf("agent.json").replace(/,\s*"rekeyedBy": "[^"]*"/, ""));
      await expect(run(controlPlane.rekeyToken, folder, files)).rejects.toThrow("killed");
      await run(controlPlane.rekeyToken);
      expect(controlPlane.agents.size).toBe(1);
      const { agentId } = JSON.parse(textOf("agent.json"));
      expect([...controlPlane.agents.values()].map((agent) => agent.agentId)).toEqual([agentId]);
      const [held] = [...controlPlane.agents.values()];
      expect(JSON.parse(textOf("key.json")).x).toBe(held?.jwk.x);
    }
  }
});

test("makes another key for another token: a copy of the folder may have the one that waits", async () => {
  await run(controlPlane.token);
  controlPlane.state.dropEnrolAnswers = 1;
  await expect(run(controlPlane.rekeyToken)).rejects.toThrow();
  const waiting = JSON.parse(textOf("key.new.json"));
  writeFileSync(join(folder, "key.new.json"), JSON.stringify({ ...waiting, tokenId: "another" }));
  await run(controlPlane.rekeyToken);
  expect(JSON.parse(textOf("key.json")).x).not.toBe(waiting.jwk.x);
});

test("needs a server that is known here, and a token of its own control plane", async () => {
  const nowhere = join(folder, "empty");
  await expect(run(controlPlane.rekeyToken, nowhere)).rejects.toMatchObject({ code: "token_invalid" });
  expect(existsSync(nowhere)).toBe(false);
  await run(controlPlane.token);
  const [kind, id, secret] = controlPlane.rekeyToken.split(".");
  await expect(run([kind, id, secret, "x".repeat(43)].join("."))).rejects.toMatchObject({ code: "token_invalid" });
  expect(newKeyWaits()).toBe(false);
});
