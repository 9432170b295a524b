// A Docker registry on loopback for tests of pulls, with fronts that misbehave in one named way each.
// Docker talks plain HTTP to 127.0.0.0/8, so neither certificates nor a changed daemon configuration are needed.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { access, constants, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { docker } from "./docker-engine.ts";

const program = "/usr/bin/docker-registry";

/** What a front does otherwise than the registry behind it. */
export type Fault =
  /** Every request is answered 401; with the challenge Docker says "no basic auth credentials", without it another text. */
  | { kind: "unauthorized"; challenge: "basic" | "none" }
  /** Nothing is found under any tag or digest. */
  | { kind: "no-manifest" }
  /**
   * The connection breaks when a blob has been given up to this byte; a resumed download gets no further. Docker waits
   * 5, 10, 15, 20 and 25 seconds between its tries and then gives up. With `times`, it works again after so many breaks.
   */
  | { kind: "cut"; atByte: number; times?: number }
  /** Each blob comes at this rate, so that progress by layer can be seen. */
  | { kind: "throttle"; bytesPerSecond: number };

export interface Front {
  /** `127.0.0.1:port`, the beginning of an image's name. */
  address: string;
  /** Requests so far, as `METHOD path`. */
  requests: readonly string[];
  stop(): Promise<void>;
}

export interface Registry {
  address: string;
  /** Pushes a local image under `name` (`repository:tag`) and returns its whole reference. Its layers stay local. */
  push(image: string, name: string): Promise<string>;
  /**
   * Pushes an image with one layer of random bytes a size, on top of `from` if given, and removes it here, so that a
   * pull has something to fetch.
   */
  pushFresh(name: string, layerBytes: readonly number[], from?: string): Promise<string>;
  front(fault: Fault): Promise<Front>;
  /** Stops the registry and all its fronts and removes its storage; safe to call twice. */
  stop(): Promise<void>;
}

export interface RegistryDeps {
  docker: typeof docker;
}

export async function startRegistry(deps: RegistryDeps, { deadlineMs = 10_000 } = {}): Promise<Registry> {
  await ensureInstalled();
  const folder = await mkdtemp(join(tmpdir(), "dflow-registry-"));
  const fronts: Front[] = [];
  await writeFile(join(folder, "config.yml"), configuration(join(folder, "storage")));
  // The child dies with the thread that started it: an aborted test run leaves no registry behind.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", program, "serve", join(folder, "config.yml")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { PATH: process.env.PATH },
  });
  const stop = async () => {
    await Promise.all(fronts.splice(0).map((front) => front.stop()));
    await end(child, deadlineMs);
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const address = await listeningAddress(child, deadlineMs);
    const push = async (image: string, name: string) => {
      const reference = `${address}/${name}`;
      await deps.docker(["tag", image, reference]);
      try {
        await deps.docker(["push", "--quiet", reference], { deadlineMs: 120_000 });
      } finally {
        await deps.docker(["rmi", "--no-prune", reference]);
      }
      return reference;
    };
    return {
      address,
      push,
      pushFresh: (name, layerBytes, from) => pushFresh(deps, push, name, layerBytes, from),
      front: async (fault) => {
        const front = await startFront(address, fault, deadlineMs);
        fronts.push(front);
        return front;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Debian's package comes with a service of its own, which nobody asked for. */
async function ensureInstalled(): Promise<void> {
  const isThere = () =>
    access(program, constants.X_OK).then(
      () => true,
      () => false,
    );
  if (await isThere()) return;
  const run = promisify(execFile);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) =>
    run("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], { env, timeout: 300_000 });
  try {
    await apt("update", "-qq");
    await apt("install", "-y", "--no-install-recommends", "docker-registry");
  } catch (cause) {
    throw new Error(
      "install docker-registry: apt-get failed; as root on Debian or Ubuntu the tests install it themselves",
      { cause },
    );
  }
  if (
    await access("/run/systemd/system").then(
      () => true,
      () => false,
    )
  ) {
    await run("systemctl", ["disable", "--now", "docker-registry"], { timeout: 30_000 });
  }
}

/** Port 0: the system chooses a free one, and the log says which. */
function configuration(storage: string): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "info", formatter: "json", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage } },
    http: { addr: "127.0.0.1:0" },
  });
}

function listeningAddress(child: ChildProcess, deadlineMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`start docker-registry: ${why}: ${said.slice(-1000)}`));
    };
    const timer = setTimeout(() => fail(`does not listen after ${deadlineMs} ms`), deadlineMs);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => fail(`ended with ${code}`));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      // Read to the end of its life, or the pipe would fill up and stop it; only the beginning is of interest.
      if (said.length > 64 * 1024) return;
      said += text;
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(said)?.[1];
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address);
    });
  });
}

async function end(child: ChildProcess, deadlineMs: number): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  await exited;
  clearTimeout(timer);
}

async function pushFresh(
  deps: RegistryDeps,
  push: Registry["push"],
  name: string,
  layerBytes: readonly number[],
  from = "scratch",
): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), "dflow-layers-"));
  const local = `dflow-test/fresh:${randomUUID()}`;
  try {
    const copies: string[] = [];
    for (const [index, size] of layerBytes.entries()) {
      // Random bytes do not compress, so a layer's size on the wire is the size asked for.
      await writeFile(join(context, `layer-${index}`), randomBytes(size));
      copies.push(`COPY layer-${index} /fresh/`);
    }
    await writeFile(join(context, "Dockerfile"), [`FROM ${from}`, ...copies, ""].join("\n"));
    await deps.docker(["build", "--quiet", "--tag", local, context], { env: { DOCKER_BUILDKIT: "0" } });
    const reference = await push(local, name);
    // With its parents, the steps of the build: a layer that any image still holds would not be fetched.
    await deps.docker(["rmi", local]);
    return reference;
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

async function startFront(upstream: string, fault: Fault, deadlineMs: number): Promise<Front> {
  const requests: string[] = [];
  const stopping = new AbortController();
  let cutsLeft = fault.kind === "cut" ? (fault.times ?? Number.POSITIVE_INFINITY) : 0;

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const path = incoming.url ?? "/";
    if (fault.kind === "unauthorized") {
      if (fault.challenge === "basic") outgoing.setHeader("WWW-Authenticate", 'Basic realm="test registry"');
      return refuse(outgoing, 401, "UNAUTHORIZED", "authentication required");
    }
    if (fault.kind === "no-manifest" && path.includes("/manifests/")) {
      return refuse(outgoing, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    }

    const response = await forward(upstream, incoming, stopping.signal);
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    const isBlob = incoming.method === "GET" && path.includes("/blobs/") && (response.statusCode ?? 0) < 300;
    if (isBlob && fault.kind === "throttle") {
      return pipeline(response, (chunks) => paced(chunks, fault.bytesPerSecond, stopping.signal), outgoing);
    }
    if (isBlob && fault.kind === "cut" && cutsLeft > 0) {
      const given = await giveUpTo(fault.atByte - firstByte(response), response, outgoing);
      if (given === "whole") return void outgoing.end();
      cutsLeft -= 1;
      return void outgoing.destroy();
    }
    return pipeline(response, outgoing);
  };

  const server = createServer((incoming, outgoing) => {
    requests.push(`${incoming.method} ${incoming.url}`);
    // A client that goes away in the middle is part of the game; whoever is still there sees the connection break.
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening", { signal: AbortSignal.timeout(deadlineMs) });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () => close(server, stopping),
  };
}

function refuse(outgoing: ServerResponse, status: number, code: string, message: string): void {
  outgoing
    .writeHead(status, { "Content-Type": "application/json" })
    .end(JSON.stringify({ errors: [{ code, message }] }));
}

function forward(upstream: string, incoming: IncomingMessage, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { method, headers } = incoming;
    // The Host header stays the front's own, so that the addresses in the registry's answers lead back through it.
    const outward = request(`http://${upstream}${incoming.url}`, { method, headers, signal }, resolve);
    outward.on("error", reject);
    incoming.pipe(outward);
  });
}

/** Where in the blob an answer begins: past 0 when a broken download is resumed. */
function firstByte(response: IncomingMessage): number {
  return Number(/^bytes (\d+)-/.exec(response.headers["content-range"] ?? "")?.[1] ?? 0);
}

async function giveUpTo(limit: number, response: IncomingMessage, outgoing: ServerResponse): Promise<"whole" | "part"> {
  let left = limit;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const piece = chunk.subarray(0, Math.max(0, left));
    left -= chunk.length;
    // Flushed before the break, so that the client has seen exactly this much.
    await new Promise<void>((resolve) => outgoing.write(piece, () => resolve()));
    if (left < 0) return "part";
  }
  return "whole";
}

async function* paced(
  chunks: AsyncIterable<Buffer>,
  bytesPerSecond: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const tickMs = 50;
  const size = Math.max(1, Math.floor((bytesPerSecond * tickMs) / 1000));
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += size) {
      const piece = chunk.subarray(start, start + size);
      yield piece;
      await sleep((piece.length / bytesPerSecond) * 1000, undefined, { signal });
    }
  }
}

async function close(server: Server, stopping: AbortController): Promise<void> {
  stopping.abort();
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
