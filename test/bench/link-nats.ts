/** The yardstick: Debian's `nats-server` with as many connections. It speaks text: CONNECT, SUB, PUB, MSG, PING. */
import { connect, type Socket } from "node:net";
import { backoffMs, linkBackoff } from "@dflow/protocol";

type OnMessage = (subject: string, reply: string | undefined, payload: Buffer) => void;

export interface NatsClient {
  subscribe(subject: string): void;
  publish(subject: string, payload: Buffer, reply?: string): void;
  /** Resolves when the server has handled all that was sent before. */
  flush(): Promise<void>;
  close(): void;
}

/** Connects, and again after every cut with the agents' own back-off; `onUp` each time that the server has answered. */
export function createNatsClient(port: number, onMessage: OnMessage, onUp: () => void): NatsClient {
  const subjects: string[] = [];
  let socket: Socket | undefined;
  let failures = 0;
  let closed = false;
  let awaySince = performance.now();
  let pongs: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;

  const dial = (): void => {
    const parser = createParser({
      onMessage,
      onPing: () => socket?.write("PONG\r\n"),
      onPong: () => pongs.shift()?.(),
    });
    const dialled = connect({ port, host: "127.0.0.1", noDelay: true });
    socket = dialled;
    pongs = [
      () => {
        failures = 0;
        awaySince = performance.now();
        onUp();
      },
    ];
    dialled.write(`CONNECT {"verbose":false,"pedantic":false}\r\n`);
    for (const [n, subject] of subjects.entries()) dialled.write(`SUB ${subject} ${n + 1}\r\n`);
    dialled.write("PING\r\n");
    dialled.on("data", parser);
    dialled.on("error", () => undefined);
    dialled.on("close", () => {
      if (closed) return;
      if (failures === 0) awaySince = performance.now();
      const delay = backoffMs(failures, Math.random, linkBackoff(performance.now() - awaySince));
      failures += 1;
      timer = setTimeout(dial, delay);
    });
  };
  dial();
  return {
    subscribe(subject) {
      subjects.push(subject);
      socket?.write(`SUB ${subject} ${subjects.length}\r\n`);
    },
    publish(subject, payload, reply) {
      socket?.cork();
      socket?.write(`PUB ${subject} ${reply === undefined ? "" : `${reply} `}${payload.length}\r\n`);
      socket?.write(payload);
      socket?.write("\r\n");
      socket?.uncork();
    },
    flush: () =>
      new Promise((done) => {
        pongs.push(done);
        socket?.write("PING\r\n");
      }),
    close() {
      closed = true;
      clearTimeout(timer);
      socket?.destroy();
    },
  };
}

interface Handlers {
  onMessage: OnMessage;
  onPing(): void;
  onPong(): void;
}

/** Takes chunks as they come; a message is handed on when it is whole. */
function createParser({ onMessage, onPing, onPong }: Handlers): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  /** Chunks of a message that is longer than what has come. */
  let parts: Buffer[] = [];
  let have = 0;
  let need = 0;

  /** How many bytes of `bytes` were used; 0 when more have to come first. */
  const takeOne = (bytes: Buffer): number => {
    const end = bytes.indexOf("\r\n");
    if (end === -1) return 0;
    const line = bytes.toString("latin1", 0, end);
    if (line.startsWith("MSG ")) {
      const [, subject = "", , ...tail] = line.split(" ");
      const size = Number(tail.at(-1));
      const whole = end + 2 + size + 2;
      if (bytes.length < whole) {
        need = whole;
        return 0;
      }
      onMessage(subject, tail.length === 2 ? tail[0] : undefined, bytes.subarray(end + 2, end + 2 + size));
      return whole;
    }
    if (line === "PING") onPing();
    else if (line === "PONG") onPong();
    else if (line.startsWith("-ERR")) process.stderr.write(`nats-server says ${line}\n`);
    return end + 2;
  };

  return (chunk) => {
    parts.push(chunk);
    have += chunk.length;
    if (rest.length + have < need) return;
    let bytes = Buffer.concat([rest, ...parts]);
    parts = [];
    have = 0;
    need = 0;
    for (let used = takeOne(bytes); used > 0; used = takeOne(bytes)) bytes = bytes.subarray(used);
    rest = bytes;
  };
}

export interface NatsFleet {
  clients: NatsClient[];
  up(): number;
  /** From now on `times` collects when each client was answered again. */
  watchReturns(): { times: number[] };
  close(): void;
}

/** Each has a subject of its own and answers what comes on it with as many bytes. */
export function createNatsFleet(port: number, count: number, spreadMs: number): NatsFleet {
  const clients: NatsClient[] = [];
  let returns: { times: number[] } | undefined;
  let up = 0;
  const timers = Array.from({ length: count }, (_, n) =>
    setTimeout(() => {
      const client: NatsClient = createNatsClient(
        port,
        (_subject, reply, payload) => {
          if (reply !== undefined) client.publish(reply, payload);
        },
        () => {
          up += 1;
          returns?.times.push(performance.now());
        },
      );
      client.subscribe(`agent.${n}`);
      clients.push(client);
    }, Math.random() * spreadMs),
  );
  return {
    clients,
    up: () => up,
    watchReturns() {
      returns = { times: [] };
      return returns;
    },
    close() {
      for (const timer of timers) clearTimeout(timer);
      for (const client of clients) client.close();
    },
  };
}

/** As many bytes as a command of ours. */
const REQUEST = Buffer.alloc(900, "x");

/** Requests to one agent after the other; milliseconds from when each was due until its reply. */
export async function runRequests(port: number, agents: number, perSecond: number, seconds: number): Promise<number[]> {
  const due = new Map<string, number>();
  const times: number[] = [];
  const client = createNatsClient(
    port,
    (subject) => {
      const at = due.get(subject);
      if (at !== undefined) times.push(performance.now() - at);
      due.delete(subject);
    },
    () => undefined,
  );
  client.subscribe("inbox.*");
  await client.flush();
  const begun = performance.now();
  const total = Math.round(perSecond * seconds);
  for (let n = 0; n < total; n += 1) {
    const at = begun + (n * 1000) / perSecond;
    const early = at - performance.now();
    if (early > 0) await new Promise((done) => setTimeout(done, early));
    due.set(`inbox.${n}`, at);
    client.publish(`agent.${n % agents}`, REQUEST, `inbox.${n}`);
  }
  await new Promise((done) => setTimeout(done, 1_000));
  client.close();
  return times;
}

/** Published but not delivered to everyone yet: the publisher waits, as an agent waits for credit. */
const WINDOW = 16;

/** 10^6 bytes a second that one publisher gets to all readers together. */
export async function runThroughput(port: number, payload: Buffer, readers: number, seconds: number): Promise<number> {
  const subject = `log.${readers}`;
  const delivered = Array.from({ length: readers }, () => 0);
  let published = 0;
  let stopped = false;
  const publisher = createNatsClient(
    port,
    () => undefined,
    () => undefined,
  );
  const pump = (): void => {
    while (!stopped && published - Math.min(...delivered) < WINDOW) {
      published += 1;
      publisher.publish(subject, payload);
    }
  };
  const clients = delivered.map((_, n) =>
    createNatsClient(
      port,
      () => {
        delivered[n] = (delivered[n] ?? 0) + 1;
        pump();
      },
      () => undefined,
    ),
  );
  for (const client of clients) client.subscribe(subject);
  await Promise.all([publisher, ...clients].map((client) => client.flush()));
  const begun = performance.now();
  pump();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  stopped = true;
  const bytes = delivered.reduce((sum, count) => sum + count, 0) * payload.length;
  const rate = bytes / 1e6 / ((performance.now() - begun) / 1000);
  for (const client of [publisher, ...clients]) client.close();
  return rate;
}
