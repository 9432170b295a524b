import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { logFrame } from "../../test/fake-docker.ts";
import { createDockerode } from "./dockerode.ts";

let folder: string;
let engine: Server;
let asked: string[];
let answer: (response: ServerResponse) => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "dflow-engine-"));
  asked = [];
  engine = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(response);
  });
  await new Promise<void>((resolve) => engine.listen(join(folder, "s"), resolve));
});
afterEach(async () => {
  engine.closeAllConnections();
  await new Promise((resolve) => engine.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

const docker = () =>
  createDockerode({ socketPath: join(folder, "s"), clock: createFakeClock(), inspectBody: () => undefined });

test("hands a log on as it comes, also one that is not followed: it may be larger than the memory", async () => {
  answer = (response) => void response.writeHead(200).write(logFrame("first\n"));
  const stream = await docker().openLogs("abc", { follow: false, tail: 5, timestamps: true });
  const chunk = await new Promise((resolve) => stream?.once("data", resolve));
  expect(String(chunk)).toContain("first");
  expect(new URL(asked[0] ?? "", "http://engine").searchParams.toString()).toBe(
    "follow=false&stdout=true&stderr=true&timestamps=true&tail=5",
  );
  stream?.destroy();
});

test("reads no log where there is no container", async () => {
  answer = (response) => void response.writeHead(404).end('{"message":"No such container: abc"}');
  expect(await docker().openLogs("abc", { follow: false, tail: null, timestamps: false })).toBeUndefined();
  expect(asked[0]).toContain("tail=all");
});
