/** Enrolment over HTTP, against real rows and real signatures. */
import { type AppError, parseEnrolmentToken, problemSchema } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { enrolBy, enrolmentMac, FACTS, newKey, openAnswer, post } from "./testing/fake-agent.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

let harness: Harness;
beforeEach(async () => {
  harness = await startHarness();
});
afterEach(() => harness.stop());

const servers = () => harness.db.selectFrom("server").selectAll().execute();
const audits = async () => (await harness.db.selectFrom("audit").selectAll().execute()).map((row) => row.action);

describe("enrolment", () => {
  it("makes a server of a token, signed by the control plane that the token names", async () => {
    const key = await newKey();
    const token = await harness.makeToken("web");
    const { status, body } = await enrolBy(harness.baseUrl, token, key);
    expect(status).toBe(200);
    const answer = await openAnswer(body.jws, parseEnrolmentToken(token)?.controlPlaneId ?? "");
    const [server, ...others] = await servers();
    expect(others).toEqual([]);
    expect(answer).toMatchObject({ agentId: server?.id, serverName: "web" });
    expect(server).toMatchObject({ name: "web", agent_kid: key.kid, facts: JSON.stringify(FACTS), session: 0 });
    expect(harness.events.map((event) => event.type)).toEqual(["enrolment_token", "server"]);
    expect(await audits()).toEqual(["server.enrol"]);
  });

  it("gives the same key the same answer again, even after the token's time", async () => {
    const key = await newKey();
    const token = await harness.makeToken();
    const first = await enrolBy(harness.baseUrl, token, key);
    await harness.db.updateTable("enrolment_token").set({ expires_at: 1 }).execute();
    const second = await enrolBy(harness.baseUrl, token, key);
    const ids = [first, second].map(async ({ body }) => (await openAnswer(body.jws, harness.controlPlaneId)).agentId);
    const [a, b] = await Promise.all(ids);
    expect(a).toBe(b);
    expect(await servers()).toHaveLength(1);
  });

  it("makes one server when the same enrolment arrives twice at once", async () => {
    const key = await newKey();
    const token = await harness.makeToken();
    const answers = await Promise.all([1, 2, 3].map(() => enrolBy(harness.baseUrl, token, key)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await servers()).toHaveLength(1);
  });

  it("refuses another key on a used token and notes it", async () => {
    const token = await harness.makeToken();
    await enrolBy(harness.baseUrl, token, await newKey());
    const { status, body } = await enrolBy(harness.baseUrl, token, await newKey());
    expect([status, problemSchema.parse(body).code]).toEqual([409, "token_used"]);
    expect(await servers()).toHaveLength(1);
    expect(await audits()).toEqual(["server.enrol", "enrolment_token.reuse_refused"]);
  });

  it("refuses an expired token", async () => {
    const token = await harness.makeToken();
    await harness.db
      .updateTable("enrolment_token")
      .set({ expires_at: Date.now() - 1 })
      .execute();
    const { status, body } = await enrolBy(harness.baseUrl, token, await newKey());
    expect([status, body.code]).toEqual([401, "token_expired"]);
    expect(await servers()).toEqual([]);
  });

  it("says the same of a wrong secret, an unknown token and a nonce that was used", async () => {
    const key = await newKey();
    const text = await harness.makeToken();
    const token = parseEnrolmentToken(text);
    const wrongSecret = await enrolBy(harness.baseUrl, text, key, (payload) => ({
      ...payload,
      mac: enrolmentMac("another secret", key.kid, String(payload.nonce)),
    }));
    const unknown = text.replace(String(token?.tokenId), harness.deps.random.id());
    const unknownToken = await enrolBy(harness.baseUrl, unknown, key);
    let sent: Record<string, unknown> = {};
    const used = await harness.makeToken("other");
    await enrolBy(harness.baseUrl, used, key, (payload) => {
      sent = payload;
      return payload;
    });
    const replayed = await post(`${harness.baseUrl}/agent/v1/enrol`, { jws: await key.sign(sent) });
    for (const { status, body } of [wrongSecret, unknownToken, replayed]) {
      expect([status, body.code, body.detail]).toEqual([
        401,
        "token_invalid",
        "This enrolment token is not valid here.",
      ]);
    }
  });

  it("refuses a nonce that was given for another token", async () => {
    const key = await newKey();
    const [one, other] = [await harness.makeToken("one"), parseEnrolmentToken(await harness.makeToken("other"))];
    const { body } = await enrolBy(harness.baseUrl, one, key, (payload) => ({
      ...payload,
      tokenId: other?.tokenId,
      mac: enrolmentMac(other?.secret ?? "", key.kid, String(payload.nonce)),
    }));
    expect(body.code).toBe("token_invalid");
  });

  it("refuses what is not signed by the key that its header names", async () => {
    const [key, other] = [await newKey(), await newKey()];
    const forged = await key.sign({ tokenId: harness.deps.random.id() }, { alg: "EdDSA", jwk: other.jwk });
    const { status, body } = await post(`${harness.baseUrl}/agent/v1/enrol`, { jws: forged });
    expect([status, body.code]).toEqual([401, "token_invalid"]);
  });

  it("refuses every algorithm but its own, and a message without a key", async () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const key = await newKey();
    const none = `${encode({ alg: "none", jwk: key.jwk })}.${encode({})}.`;
    const hmac = `${encode({ alg: "HS256", jwk: { kty: "oct", k: "AAAA" } })}.${encode({})}.AAAA`;
    const keyless = await key.sign({}, { alg: "EdDSA" });
    for (const jws of [none, hmac, keyless, "nonsense", "a.b.c"]) {
      const { status, body } = await post(`${harness.baseUrl}/agent/v1/enrol`, { jws });
      expect([jws.length, status, body.code]).toEqual([jws.length, 401, "token_invalid"]);
    }
  });

  it("gives a server a free name when the token's is taken", async () => {
    const names = [];
    for (let count = 0; count < 3; count++) {
      const { body } = await enrolBy(harness.baseUrl, await harness.makeToken("web"), await newKey());
      names.push((await openAnswer(body.jws, harness.controlPlaneId)).serverName);
    }
    expect(names).toEqual(["web", "web-2", "web-3"]);
  });

  it("takes a removed server's key for a new server, and never for one of another workspace", async () => {
    const key = await newKey();
    await enrolBy(harness.baseUrl, await harness.makeToken("web"), key);
    await harness.db.updateTable("server").set({ deleted_at: Date.now() }).execute();
    expect((await enrolBy(harness.baseUrl, await harness.makeToken("web"), key)).status).toBe(200);
    expect((await servers()).filter((server) => server.deleted_at === null)).toHaveLength(1);

    const elsewhere = harness.deps.random.id();
    await harness.db.insertInto("workspace").values({ id: elsewhere, name: "Other", created_at: 1 }).execute();
    const token = await harness.makeToken("mine");
    await harness.db
      .updateTable("enrolment_token")
      .set({ workspace_id: elsewhere })
      .where("id", "=", parseEnrolmentToken(token)?.tokenId ?? "")
      .execute();
    expect((await enrolBy(harness.baseUrl, token, key)).body.code).toBe("forbidden");
  });

  it("answers bad bodies with problem documents", async () => {
    const enrolUrl = `${harness.baseUrl}/agent/v1/enrol`;
    const cases: [string, unknown, number, string][] = [
      [`${harness.baseUrl}/agent/v1/nonce`, "{", 400, "malformed_json"],
      [`${harness.baseUrl}/agent/v1/nonce`, { tokenId: "no id" }, 400, "invalid_input"],
      [enrolUrl, { jws: 7 }, 400, "invalid_input"],
      [enrolUrl, { jws: "x".repeat(33 * 1024) }, 413, "body_too_large"],
    ];
    for (const [url, sent, status, code] of cases) {
      const answer = await post(url, sent);
      expect([answer.status, problemSchema.parse(answer.body).code]).toEqual([status, code]);
    }
  });

  it("lets one address ask only so often", async () => {
    const ask = () => post(`${harness.baseUrl}/agent/v1/nonce`, { tokenId: harness.deps.random.id() });
    const answers = await Promise.all(Array.from({ length: 125 }, ask));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(120);
    expect(answers.find(({ status }) => status !== 200)?.body.code).toBe("rate_limited" satisfies AppError["code"]);
  });
});
