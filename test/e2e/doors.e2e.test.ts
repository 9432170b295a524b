/** Bad input at every door of the running product: its clear error, and nothing changed behind it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { CLOSE, formatEnrolmentToken, type Problem, parseEnrolmentToken } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  enrolBy,
  type FakeIdentity,
  type FakeSocket,
  newKey,
  openAnswer,
  openSocket,
} from "../../control-plane/src/agents/testing/fake-agent.ts";
import { type Product, startProduct } from "../support/product.ts";

const ROOT = resolve(import.meta.dirname, "../..");

describe("bad input", () => {
  let product: Product;
  let environmentId: string;
  let tokens = 0;

  beforeAll(async () => {
    product = await startProduct();
    environmentId = await product.environment();
    await product.createService(environmentId, "taken");
  });
  afterAll(() => product?.stop());

  const services = async () =>
    (await product.call<{ items: { name: string }[] }>("GET", `/environments/${environmentId}/services`)).items.map(
      ({ name }) => name,
    );
  const servers = async () =>
    (await product.call<{ items: unknown[] }>("GET", `/workspaces/${product.login.workspaceId}/servers`)).items.length;

  const NAMES: [what: string, name: unknown, status: number, code: string][] = [
    ["an empty name", "", 400, "invalid_input"],
    ["32 characters", "a".repeat(32), 400, "invalid_input"],
    ["a reserved name", "localhost", 400, "name_reserved"],
    ["a name that the engine reserves", "template1", 400, "name_reserved"],
    ["capitals", "Orders", 400, "invalid_input"],
    ["a leading digit", "1orders", 400, "invalid_input"],
    ["unicode", "dätenbank", 400, "invalid_input"],
    ["a name that is no text", 42, 400, "invalid_input"],
    ["a name that is taken", "taken", 409, "name_taken"],
  ];
  it.each(NAMES)("refuses a service with %s, and names the field", async (_what, name, status, code) => {
    const body = { type: "database", engine: "postgres", name };
    const answer = await product.ask<Problem>("POST", `/environments/${environmentId}/services`, body);
    expect(answer).toMatchObject({ status, body: { code, status } });
    expect(answer.body.errors?.[0]?.field).toBe("name");
    expect(await services()).toEqual(["taken"]);
  });

  it.each([
    ["an unknown engine", { engine: "oracle" }, "unknown_engine", "engine"],
    ["an unknown version", { engine: "postgres", version: "9.6" }, "unknown_version", "version"],
  ])("refuses %s and says what there is", async (_what, extra, code, field) => {
    const body = { type: "database", name: "fresh", ...extra };
    const answer = await product.ask<Problem>("POST", `/environments/${environmentId}/services`, body);
    expect(answer).toMatchObject({ status: 400, body: { code } });
    expect(JSON.stringify(answer.body)).toContain(field);
    expect(await services()).toEqual(["taken"]);
  });

  async function raw(body: string): Promise<{ status: number; body: Problem }> {
    const response = await fetch(`${product.url}/api/v1/environments/${environmentId}/services`, {
      method: "POST",
      headers: { authorization: `Bearer ${product.login.apiKey}`, "content-type": "application/json" },
      body,
    });
    return { status: response.status, body: (await response.json()) as Problem };
  }

  it("refuses malformed JSON as such", async () => {
    expect(await raw('{"name": ')).toMatchObject({ status: 400, body: { code: "malformed_json" } });
  });

  it("refuses a body of 10 MB without keeping it", async () => {
    const answer = await raw(JSON.stringify({ name: "x".repeat(10 * 1024 * 1024) }));
    expect(answer).toMatchObject({ status: 413, body: { code: "body_too_large" } });
    expect(await services()).toEqual(["taken"]);
  });

  /** The status line that a request gets, told by a connection of its own, and whether that connection ended. */
  function rawRequest(text: string, body = ""): Promise<{ status: string; ended: boolean }> {
    return new Promise((done) => {
      const socket = connect(Number(new URL(product.url).port), "127.0.0.1");
      let received = "";
      const finish = (ended: boolean) => {
        socket.destroy();
        done({ status: received.split("\r\n")[0]?.slice(9, 12) ?? "", ended });
      };
      socket.on("error", () => finish(true));
      socket.on("close", () => finish(true));
      socket.on("data", (data) => {
        received += data.toString("latin1");
        setTimeout(() => finish(false), 500);
      });
      socket.write(text);
      if (body !== "") socket.write(body);
    });
  }

  it("refuses a head of more than 16 KiB, and an enrolment of more than 32 KiB", async () => {
    const large = await rawRequest(`GET / HTTP/1.1\r\nHost: x\r\nCookie: ${"a".repeat(20_000)}\r\n\r\n`);
    expect(large).toEqual({ status: "431", ended: true });
    for (const path of ["/agent/v1/nonce", "/agent/v1/enrol"]) {
      const body = JSON.stringify({ jws: "a".repeat(40_000), tokenId: "x" });
      const response = await fetch(`${product.url}${path}`, { method: "POST", body });
      expect([path, response.status]).toEqual([path, 413]);
    }
  });

  it("keeps nothing of a body that no door asked for", async () => {
    const rss = () => /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${product.controlPlane.pid}/status`, "utf8"))?.[1];
    const before = Number(rss());
    const body = "x".repeat(64 * 1024 * 1024);
    for (const path of ["/healthz", "/nothing", "/api/v1/openapi.json"]) {
      await fetch(`${product.url}${path}`, { method: "POST", body }).catch((error: unknown) => error);
    }
    expect((Number(rss()) - before) / 1024).toBeLessThan(100);
    expect((await fetch(`${product.url}/healthz`)).status).toBe(200);
  });

  it("believes no address that a stranger writes into a header: the limit is the peer's", async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 65; n += 1) {
      const response = await fetch(`${product.url}/api/auth/sign-in/email`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-forwarded-for": `198.51.100.${n}` },
        body: JSON.stringify({ email: "nobody@example.test", password: "x" }),
      });
      statuses.push(response.status);
    }
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
  });

  it("serves the dashboard without a script of its own in the page, under headers that forbid one", async () => {
    const page = await fetch(product.url);
    const html = await page.text();
    expect(html).toContain("<script");
    expect(html.match(/<script(?![^>]*\bsrc=)[^>]*>/g)).toBe(null);
    expect(html).not.toMatch(/\son\w+=/);
    expect(page.headers.get("content-security-policy")).toMatch(/script-src 'self';.*frame-ancestors 'none'/);
    expect(page.headers.get("x-content-type-options")).toBe("nosniff");
  });

  function enrol(token: string): { code: number | null; output: string } {
    const folder = mkdtempSync(join(product.home, "other-agent-"));
    const file = join(folder, "token");
    writeFileSync(file, token, { mode: 0o600 });
    const args = ["enrol", "--url", product.url, "--data-dir", join(folder, "data"), "--token-file", file];
    const result = spawnSync(process.execPath, [join(ROOT, "dist/agent.mjs"), ...args], { encoding: "utf8" });
    return { code: result.status, output: `${result.stdout}${result.stderr}` };
  }

  const newToken = async () =>
    (
      await product.call<{ token: string }>("POST", `/workspaces/${product.login.workspaceId}/enrolment-tokens`, {
        serverName: `another ${++tokens}`,
      })
    ).token;

  it("refuses a forged and a mangled enrolment token, in words, and adds no server", async () => {
    const before = await servers();
    const real = parseEnrolmentToken(await newToken());
    if (real === undefined) throw new Error("the control plane gave something that is no token");
    const forged = enrol(formatEnrolmentToken({ ...real, secret: "A".repeat(43) }));
    expect(forged.code).not.toBe(0);
    expect(forged.output).toMatch(/token/i);
    const mangled = enrol("not a token");
    expect(mangled.code).not.toBe(0);
    expect(mangled.output).toMatch(/token/i);
    expect(await servers()).toBe(before);
  });

  it("takes an enrolment token once: another key is told that it was used", async () => {
    const token = await newToken();
    const first = await enrolBy(product.url, token, await newKey());
    expect(first.status).toBe(200);
    const before = await servers();
    const second = enrol(token);
    expect(second.code).not.toBe(0);
    expect(second.output).toMatch(/already, with another key/);
    expect(await servers()).toBe(before);
  });

  it("refuses an agent that does not say who the control plane is, by the key in the token", async () => {
    const real = parseEnrolmentToken(await newToken());
    if (real === undefined) throw new Error("the control plane gave something that is no token");
    const elsewhere = enrol(formatEnrolmentToken({ ...real, controlPlaneId: "B".repeat(43) }));
    expect(elsewhere.code).not.toBe(0);
  });

  async function connected(): Promise<FakeSocket> {
    const token = await newToken();
    const key = await newKey();
    const answer = await enrolBy(product.url, token, key);
    const opened = await openAnswer(answer.body.jws, parseEnrolmentToken(token)?.controlPlaneId ?? "");
    const identity: FakeIdentity = { agentId: String(opened.agentId), key, epoch: 0 };
    const socket = await openSocket(`${product.url.replace("http", "ws")}/agent/v1`);
    await socket.authenticate(identity);
    return socket;
  }

  it("answers an unknown message type by an error frame, and the link stays", async () => {
    const socket = await connected();
    socket.send({ type: "format_disk", data: {} });
    expect((await socket.next("error")).data.code).toBe("unsupported");
    socket.send({
      type: "heartbeat",
      data: { observedAgeMs: 0, dockerOk: true, running: [], streams: 0, rssBytes: 1 },
    });
    await socket.next("heartbeat_ack");
    socket.close();
  });

  it("closes a socket whose frame is over the limit with 1009, and one that is no frame with 4400", async () => {
    const large = await connected();
    large.sendText("x".repeat(2 * 1024 * 1024));
    expect((await large.ended).code).toBe(CLOSE.tooBig);
    const garbled = await connected();
    garbled.sendText("{");
    expect((await garbled.ended).code).toBe(CLOSE.badFrame);
  });
});
