import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { compactVerify, importJWK } from "jose";
import { expect, test } from "vitest";
import { createPlatform } from "../platform.ts";
import { tempFolder } from "../testing/temp-folder.ts";
import { loadKeys } from "./key-files.ts";
import { createSeals, serviceSecretPlace } from "./seals.ts";
import { createSigner } from "./signer.ts";

const { random } = createPlatform();
const tempDir = () => tempFolder("keys");

test("keys are made once, readable by their owner only, and the same ever after", async () => {
  const dir = tempDir();
  const [first, second] = await Promise.all([loadKeys(dir, random), loadKeys(dir, random)]);
  expect(second).toEqual(first);
  expect(await loadKeys(dir, random)).toEqual(first);
  for (const name of ["signing.json", "sealing.json", "session.json"]) {
    expect(statSync(join(dir, "keys", name)).mode & 0o777).toBe(0o600);
  }
});

test("a key file that is not one stops the start with its name", async () => {
  const dir = tempDir();
  await loadKeys(dir, random);
  writeFileSync(join(dir, "keys", "sealing.json"), "{}");
  await expect(loadKeys(dir, random)).rejects.toThrow("sealing.json");
});

test("a key file with a bare key in it is named, and nothing of the key stands in the error", async () => {
  const dir = tempDir();
  const { sessionSecret } = await loadKeys(dir, random);
  writeFileSync(join(dir, "keys", "session.json"), `x${sessionSecret}`);
  const failure = await loadKeys(dir, random).then(
    () => undefined,
    (error: Error) => error,
  );
  expect(failure?.message).toContain("session.json");
  expect(inspect(failure)).not.toContain(sessionSecret.slice(0, 6));
});

test("a sealed value opens in its place and nowhere else", async () => {
  const seals = createSeals((await loadKeys(tempDir(), random)).sealing);
  const place = serviceSecretPlace("service-1", "password");
  const sealed = await seals.seal(place, "s3cret-value");
  expect(sealed).not.toContain("s3cret");
  expect(await seals.open(place, sealed)).toBe("s3cret-value");
  await expect(seals.open(serviceSecretPlace("service-2", "password"), sealed)).rejects.toThrow("belongs elsewhere");
  const [head, ...rest] = sealed.split(".");
  const changed = [head, ...rest.slice(0, -1), `${"A".repeat(22)}`].join(".");
  await expect(seals.open(place, changed)).rejects.toThrow("was changed");
});

test("a value sealed with another key does not open", async () => {
  const place = serviceSecretPlace("service-1", "password");
  const sealed = await createSeals((await loadKeys(tempDir(), random)).sealing).seal(place, "x");
  await expect(createSeals((await loadKeys(tempDir(), random)).sealing).open(place, sealed)).rejects.toThrow();
});

test("what the signer signs verifies with the key whose thumbprint is the control plane's id", async () => {
  const dir = tempDir();
  const keys = await loadKeys(dir, random);
  const signer = await createSigner(keys);
  const { payload, protectedHeader } = await compactVerify(await signer.sign({ a: 1 }), async (header) =>
    importJWK(header.jwk ?? {}, "EdDSA"),
  );
  expect(JSON.parse(new TextDecoder().decode(payload))).toEqual({ a: 1 });
  expect(protectedHeader.kid).toBe(keys.controlPlaneId);
  expect(JSON.stringify(protectedHeader)).not.toContain(keys.signing.d);
  expect(readFileSync(join(dir, "keys", "signing.json"), "utf8")).toContain(String(keys.signing.d));
});
