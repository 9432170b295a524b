/**
 * Someone who uses the product while others attack it, from an address of their own: reads at a steady rate, a sign-in
 * now and then, an open event stream and an agent whose heartbeats are answered. Every wait is measured.
 */
import { Agent, request } from "node:http";
import { parseEnrolmentToken } from "@dflow/protocol";
import { enrolBy, newKey, openAnswer, openSocket } from "../../control-plane/src/agents/testing/fake-agent.ts";
import type { Product } from "../support/product.ts";

/** Under the limit of each caller and of the address, so that no answer is a 429. */
const READS_PER_S = 40;
const SIGN_IN_EVERY_MS = 1_500;
const HEARTBEAT_EVERY_MS = 250;
const DEADLINE_MS = 10_000;

export interface Waits {
  read: number[];
  signIn: number[];
  heartbeat: number[];
  event: number[];
  /** Whatever was not answered as it should have been. */
  failures: string[];
}

export interface Neighbour {
  email: string;
  /** What it waited for since this was asked last. */
  waits(): Waits;
  moveOut(): void;
}

function nothing(): Waits {
  return { read: [], signIn: [], heartbeat: [], event: [], failures: [] };
}

class ReusedSocketEnded extends Error {
  constructor(cause: Error) {
    super(`on a connection used before: ${cause.message}`, { cause });
  }
}

interface Answer {
  status: number;
  cookies: string[];
  body: string;
}

export async function moveIn(product: Product, address: string): Promise<Neighbour> {
  const agent = new Agent({ keepAlive: true, maxSockets: 20, localAddress: address });
  const { email, password, workspaceId, apiKey } = product.login;

  const askOnce = (method: string, path: string, headers: Record<string, string>, body?: unknown): Promise<Answer> =>
    new Promise((done, failed) => {
      const sent = request(`${product.url}${path}`, { method, agent, headers, timeout: DEADLINE_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", failed);
        response.on("end", () =>
          done({
            status: response.statusCode ?? 0,
            cookies: (response.headers["set-cookie"] ?? []).map((line) => String(line.split(";")[0])),
            body: Buffer.concat(chunks).toString(),
          }),
        );
      });
      sent.on("timeout", () => sent.destroy(new Error(`${method} ${path}: no answer within ${DEADLINE_MS} ms`)));
      sent.on("error", (error) => failed(sent.reusedSocket ? new ReusedSocketEnded(error) : error));
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  /** A connection that was idle may end just when it is used again; every browser then asks once more. */
  const ask: typeof askOnce = (...asked) =>
    askOnce(...asked).catch((error: unknown) => {
      if (error instanceof ReusedSocketEnded) return askOnce(...asked);
      throw error;
    });

  /** What this browser would send: everything that it was given. */
  let jar = new Map<string, string>();
  const cookie = () => [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  const signIn = async (): Promise<number> => {
    const headers = { "content-type": "application/json", origin: product.url, cookie: cookie() };
    const answer = await ask("POST", "/api/auth/sign-in/email", headers, { email, password });
    if (answer.status === 200) {
      jar = new Map([...jar, ...answer.cookies.map((pair) => pair.split(/=(.*)/s, 2) as [string, string])]);
    }
    return answer.status;
  };
  if ((await signIn()) !== 200) throw new Error("the neighbour cannot sign in before anything has happened");

  const environmentId = await product.environment("neighbour");
  const service = await product.createService(environmentId, "theirs");
  const secondKey = await product.call<{ key: string }>("POST", `/workspaces/${workspaceId}/api-keys`, {
    name: "second",
    role: "viewer",
  });
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const reads: [path: string, headers: () => Record<string, string>][] = [
    [`/environments/${environmentId}/services`, () => bearer(apiKey)],
    [`/services/${service.id}`, () => ({ cookie: cookie() })],
    [`/services/${service.id}`, () => bearer(secondKey.key)],
  ];

  const events = openEvents(product, agent, workspaceId, bearer(apiKey));
  const socket = await enrolAndConnect(product, address);
  await events.opened;

  let waits = nothing();
  const fail = (what: string) => (error: unknown) => void waits.failures.push(`${what}: ${String(error)}`);
  const living = new AbortController();
  /** At fixed times whatever became of the one before: who waits for an answer before asking again does not feel a queue. */
  const everySo = async (intervalMs: number, act: (turn: number) => Promise<void>): Promise<void> => {
    const startedAt = performance.now();
    for (let turn = 0; !living.signal.aborted; turn += 1) {
      await new Promise((wake) => setTimeout(wake, Math.max(0, startedAt + turn * intervalMs - performance.now())));
      if (!living.signal.aborted) void act(turn);
    }
  };
  void everySo(1_000 / READS_PER_S, async (turn) => {
    const [path, headers] = reads[turn % reads.length] ?? [];
    if (path === undefined || headers === undefined) return;
    const at = performance.now();
    const answer = await ask("GET", `/api/v1${path}`, headers()).catch(fail(path));
    waits.read.push(performance.now() - at);
    if (answer && answer.status !== 200) fail(path)(`${answer.status} ${answer.body}`);
  });
  void everySo(SIGN_IN_EVERY_MS, async () => {
    const at = performance.now();
    const status = await signIn().catch(fail("sign-in"));
    waits.signIn.push(performance.now() - at);
    if (status !== undefined && status !== 200) fail("sign-in")(status);
  });
  void everySo(HEARTBEAT_EVERY_MS, async () => {
    const at = performance.now();
    const told = events.next(DEADLINE_MS).then((when) => waits.event.push(when - at), fail("event"));
    socket.beat();
    await socket.answered().then(() => waits.heartbeat.push(performance.now() - at), fail("heartbeat"));
    await told;
  });

  return {
    email,
    waits() {
      const since = waits;
      waits = nothing();
      return since;
    },
    moveOut() {
      living.abort();
      socket.close();
      events.close();
      agent.destroy();
    },
  };
}

/** Its heartbeats say in turn that Docker is there and not there, so that each is also an event in the stream. */
async function enrolAndConnect(product: Product, address: string) {
  const { token } = await product.call<{ token: string }>(
    "POST",
    `/workspaces/${product.login.workspaceId}/enrolment-tokens`,
    { serverName: "neighbour" },
  );
  const key = await newKey();
  const { body } = await enrolBy(product.url, token, key);
  const { agentId } = await openAnswer(body.jws, parseEnrolmentToken(token)?.controlPlaneId ?? "");
  const socket = await openSocket(`${product.url.replace("http", "ws")}/agent/v1`, { localAddress: address });
  await socket.authenticate({ agentId: String(agentId), key, epoch: 0 });
  let dockerOk = false;
  return {
    beat() {
      dockerOk = !dockerOk;
      socket.send({ type: "heartbeat", data: { observedAgeMs: null, dockerOk, running: [], streams: 0, rssBytes: 1 } });
    },
    answered: () => socket.next("heartbeat_ack"),
    close: () => socket.close(),
  };
}

function openEvents(product: Product, agent: Agent, workspaceId: string, headers: Record<string, string>) {
  const waiting: ((at: number) => void)[] = [];
  let ended: string | undefined;
  const sent = request(`${product.url}/api/v1/events?workspaceId=${workspaceId}`, { agent, headers });
  const opened = new Promise<void>((done, failed) => {
    sent.on("error", failed);
    sent.on("response", (response) => {
      done();
      response.on("data", (chunk: Buffer) => {
        if (!chunk.toString().includes("event: ")) return;
        for (const told of waiting.splice(0)) told(performance.now());
      });
      response.on("close", () => {
        ended = "the event stream has ended";
      });
    });
    sent.end();
  });
  return {
    opened,
    /** When the next event comes. */
    next: (timeoutMs: number): Promise<number> =>
      new Promise((done, failed) => {
        if (ended !== undefined) return failed(new Error(ended));
        const timer = setTimeout(() => failed(new Error(`no event within ${timeoutMs} ms`)), timeoutMs);
        waiting.push((at) => {
          clearTimeout(timer);
          done(at);
        });
      }),
    close: () => sent.destroy(),
  };
}
