import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { readEvents } from "./testing/read-events.ts";
import { tempFolder } from "./testing/temp-folder.ts";

const MAIN = join(import.meta.dirname, "main.ts");

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

interface Run {
  child: ChildProcess;
  output: { out: string; error: string };
  exit: Promise<number | null>;
}

function run(...args: string[]): Run {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const output = { out: "", error: "" };
  child.stdout?.on("data", (data: Buffer) => {
    output.out += data.toString();
  });
  child.stderr?.on("data", (data: Buffer) => {
    output.error += data.toString();
  });
  return { child, output, exit: new Promise((done) => child.once("close", (code) => done(code))) };
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** A request as Java's client sends it where there is no TLS: it would go on in HTTP/2, and need not. */
function offeringHttp2(port: number): Promise<string> {
  return new Promise((answered, failed) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", failed);
    socket.once("data", (data) => {
      socket.destroy();
      answered(String(data));
    });
    const offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    socket.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${offer}\r\n`);
  });
}

const folder = () => tempFolder("main");

describe("arguments", () => {
  test("that are wrong end with 2, a reason and the usage", async () => {
    const wrong = [["fly"], ["serve", "--colour", "blue"], ["bootstrap", "--data-dir", "x"]];
    const runs = wrong.map((args) => run(...args));
    expect(await Promise.all(runs.map(({ exit }) => exit))).toEqual([2, 2, 2]);
    for (const { output } of runs) expect(output.error).toContain("Usage:");
  });

  test("with a configuration that opens the door without https end with 1 and the field's name", async () => {
    const dir = folder();
    writeFileSync(join(dir, "c.json"), JSON.stringify({ listen: { host: "0.0.0.0" } }));
    const { exit, output } = run("serve", "--data-dir", dir, "--config", join(dir, "c.json"));
    expect(await exit).toBe(1);
    expect(output.error).toContain("publicUrl");
    expect(output.error).not.toContain("    at ");
  });
});

test("openapi prints the document, without a data folder", async () => {
  const { exit, output } = run("openapi");
  expect(await exit).toBe(0);
  expect(JSON.parse(output.out)).toMatchObject({ openapi: "3.1.0" });
});

test("a fresh folder is bootstrapped, served, and left in order with a stream still open", {
  timeout: 30_000,
}, async () => {
  const dir = folder();
  const port = await freePort();
  writeFileSync(join(dir, "c.json"), JSON.stringify({ listen: { port } }));
  const file = join(dir, "admin.json");
  const first = run("bootstrap", "--data-dir", join(dir, "data"), "--email", "a@example.test", "--out", file);
  expect(await first.exit).toBe(0);
  expect(first.output.out + first.output.error).toBe("");
  const login = JSON.parse(readFileSync(file, "utf8")) as { apiKey: string; workspaceId: string; password: string };

  const { child, output, exit } = run("serve", "--data-dir", join(dir, "data"), "--config", join(dir, "c.json"));
  const url = `http://127.0.0.1:${port}`;
  const isReady = () =>
    fetch(`${url}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
  await expect.poll(isReady, { timeout: 10_000 }).toBe(true);
  expect(await offeringHttp2(port)).toContain("HTTP/1.1 200");
  const headers = { authorization: `Bearer ${login.apiKey}` };
  const events = readEvents(await fetch(`${url}/api/v1/events?workspaceId=${login.workspaceId}`, { headers }));
  expect(await events.isQuiet()).toBe(true);

  const second = run("serve", "--data-dir", join(dir, "data"), "--config", join(dir, "c.json"));
  const third = run("serve", "--data-dir", join(dir, "other"), "--config", join(dir, "c.json"));
  expect([await second.exit, await third.exit]).toEqual([1, 1]);
  expect(second.output.error).toContain("in use by another control plane");
  expect(third.output.error).toContain(`listen on 127.0.0.1:${port}`);

  const stoppedAt = performance.now();
  child.kill("SIGTERM");
  expect(await events.next()).toBe(undefined);
  expect(await exit).toBe(0);
  expect(performance.now() - stoppedAt).toBeLessThan(5_000);
  expect(output.out).not.toContain(login.apiKey);
  expect(output.out).toContain('"msg":"stopped"');
});
