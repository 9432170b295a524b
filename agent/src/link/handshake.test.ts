import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { authPayloadSchema } from "@dflow/protocol";
import { CompactSign, calculateJwkThumbprint, compactVerify, exportJWK, generateKeyPair, importJWK } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { createFiles, createRandom } from "../platform.ts";
import { createHandshake, type Handshake } from "./handshake.ts";
import { type AgentKey, loadOrMakeKey } from "./signing.ts";

const folder = mkdtempSync(join(tmpdir(), "dflow-handshake-"));
const keyPath = join(folder, "key.json");
const agentId = newId();
const FACTS = {
  hostname: "h",
  os: "o",
  arch: "a",
  kernel: "k",
  cpus: 1,
  memoryBytes: 1,
  diskBytes: null,
  diskFreeBytes: null,
  dockerVersion: null,
  dockerApiVersion: null,
  agentVersion: "0",
};
let key: AgentKey;
let handshake: Handshake;
let controlPlaneId: string;
let sign: (payload: object) => Promise<string>;

beforeAll(async () => {
  key = await loadOrMakeKey(createFiles(), keyPath);
  ({ sign, id: controlPlaneId } = await signer());
  const enrolment = { agentId, serverName: "s", controlPlaneUrl: "https://dflow.example", controlPlaneId };
  handshake = createHandshake({
    ...{ key, random: createRandom(), enrolment, facts: async () => FACTS },
    epochs: { last: () => 41, keep: () => {} },
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function signer() {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
  const jwk = await exportJWK(publicKey);
  return {
    id: await calculateJwkThumbprint(jwk),
    sign: (payload: object) =>
      new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: "EdDSA", jwk }).sign(privateKey),
  };
}

const challenge = () => ({ connectionId: newId(), nonce: "n".repeat(43), controlPlaneId });

test("keeps its key for root only, and reads the same one again", async () => {
  expect(statSync(keyPath).mode & 0o777).toBe(0o600);
  expect((await loadOrMakeKey(createFiles(), keyPath)).kid).toBe(key.kid);
});

test("signs the address, both nonces and the connection with its own key", async () => {
  const asked = challenge();
  const answer = await handshake.answer(asked);
  const jwk = JSON.parse(createFiles().readText(keyPath) ?? "");
  const { payload, protectedHeader } = await compactVerify(
    answer.jws,
    await importJWK({ kty: jwk.kty, crv: jwk.crv, x: jwk.x }, "EdDSA"),
  );
  expect(protectedHeader).toEqual({ alg: "EdDSA", kid: key.kid });
  expect(authPayloadSchema.parse(JSON.parse(Buffer.from(payload).toString()))).toMatchObject({
    url: "wss://dflow.example/agent/v1",
    controlPlaneId,
    agentId,
    connectionId: asked.connectionId,
    nonce: asked.nonce,
    agentNonce: answer.asked.agentNonce,
    epoch: 41,
  });
});

test("answers no other control plane's challenge", async () => {
  await expect(handshake.answer({ ...challenge(), controlPlaneId: "another" })).rejects.toThrow(
    "another control plane",
  );
});

test("accepts the welcome to this very connection, and no other", async () => {
  const { asked } = await handshake.answer(challenge());
  const welcome = { ...asked, agentId, session: 3, epoch: 42, heartbeatMs: 1_000, deadlineMs: 5_000 };
  expect(await handshake.accept(await sign(welcome), asked)).toEqual(welcome);
  for (const wrong of [{ connectionId: newId() }, { agentNonce: "x".repeat(43) }, { agentId: newId() }]) {
    await expect(handshake.accept(await sign({ ...welcome, ...wrong }), asked)).rejects.toThrow("another connection");
  }
  const stranger = await signer();
  await expect(handshake.accept(await stranger.sign(welcome), asked)).rejects.toThrow("another key");
});
