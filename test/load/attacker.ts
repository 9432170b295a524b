/**
 * A hostile client, as a process of its own so that it takes nothing off the event loop that measures. Its one argument
 * is a Siege as JSON. It works until its requests are spent or its standard input ends, and prints a Tally.
 */
import { connect, type Socket } from "node:net";

/** Requests as fast as the answers come, over this many connections side by side. */
export interface Flood {
  kind: "flood";
  port: number;
  /** Source addresses on loopback, used in turn. */
  addresses: string[];
  requests: number;
  concurrency: number;
  /** Sent in turn, method and path with a JSON body each; `#` in a body becomes the request's number. */
  shots: { path: string; body: string }[];
}

/** Connections that are held, and opened again when the other side ends them. */
export interface Hold {
  kind: "hold";
  port: number;
  addresses: string[];
  connections: number;
  opensPerSecond: number;
  /** Sent at once after the connection stands; empty for a connection that says nothing. */
  opening: string;
  /** Sent after that, one byte a second. */
  trickle: string;
}

export type Siege = Flood | Hold;

export interface Tally {
  /**
   * By status line's number; `cut` for a connection that ended without an answer, `refused` for one that never stood,
   * `held` for those that were open to the end.
   */
  answers: Record<string, number>;
  /** The most that were open at one moment. */
  mostOpen: number;
  ms: number;
}

const TICK_MS = 50;

const answers: Record<string, number> = {};
const count = (answer: string): void => {
  answers[answer] = (answers[answer] ?? 0) + 1;
};

async function flood({ port, addresses, requests, concurrency, shots }: Flood): Promise<number> {
  let sent = 0;
  const next = (): string | undefined => {
    const shot = shots[sent % shots.length];
    if (sent >= requests || shot === undefined) return undefined;
    sent += 1;
    const body = shot.body.replaceAll("#", String(sent));
    return `POST ${shot.path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  };
  /** One connection after the other, each for as many requests as it lasts. */
  const shooter = async (): Promise<void> => {
    for (let text = next(); text !== undefined; text = next()) {
      const socket = connect({ port, host: "127.0.0.1", localAddress: String(addresses[sent % addresses.length]) });
      await shoot(socket, text, next);
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: concurrency }, shooter));
  return concurrency;
}

/** Resolves when the connection has ended, or the requests are spent. */
function shoot(socket: Socket, first: string, next: () => string | undefined): Promise<void> {
  return new Promise((done) => {
    let received = "";
    let answered = true;
    const send = (text: string): void => {
      answered = false;
      socket.write(text);
    };
    socket.on("data", (data) => {
      received += data.toString("latin1");
      const end = received.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = received.slice(0, end).toLowerCase();
      const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
      if (received.length < end + 4 + length) return;
      received = received.slice(end + 4 + length);
      answered = true;
      count(head.slice(9, 12));
      if (/\r\nconnection: close/.test(head)) return done();
      const text = next();
      if (text === undefined) done();
      else send(text);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (!answered) count("cut");
      done();
    });
    send(first);
  });
}

/** Resolves with the most that were open, when whoever started this process ends its standard input. */
function hold({ port, addresses, connections, opensPerSecond, opening, trickle }: Hold): Promise<number> {
  return new Promise((done) => {
    const open = new Set<Socket>();
    const standing = new Set<Socket>();
    let opened = 0;
    let mostOpen = 0;
    const openOne = (): void => {
      const socket = connect({ port, host: "127.0.0.1", localAddress: String(addresses[opened % addresses.length]) });
      opened += 1;
      open.add(socket);
      let stood = false;
      let first = "";
      socket.on("connect", () => {
        stood = true;
        standing.add(socket);
        mostOpen = Math.max(mostOpen, open.size);
        if (opening !== "") socket.write(opening);
      });
      socket.on("data", (data) => {
        first ||= data.toString("latin1", 0, 12);
      });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        standing.delete(socket);
        count(!stood ? "refused" : first.startsWith("HTTP/1.1 ") ? first.slice(9, 12) : "cut");
      });
    };
    let ticks = 0;
    const ticking = setInterval(() => {
      ticks += 1;
      const room = Math.min(connections - open.size, (opensPerSecond * TICK_MS) / 1000);
      for (let n = 0; n < room; n += 1) openOne();
      if (trickle === "" || ticks % (1000 / TICK_MS) !== 0) return;
      const second = ticks / (1000 / TICK_MS);
      for (const socket of standing) if (socket.writable) socket.write(trickle.charAt(second % trickle.length));
    }, TICK_MS);
    process.stdin.resume().once("end", () => {
      clearInterval(ticking);
      answers.held = standing.size;
      for (const socket of open) socket.removeAllListeners("close").destroy();
      done(mostOpen);
    });
  });
}

const siege = JSON.parse(process.argv[2] ?? "") as Siege;
const startedAt = performance.now();
const mostOpen = siege.kind === "flood" ? await flood(siege) : await hold(siege);
const tally: Tally = { answers, mostOpen, ms: Math.round(performance.now() - startedAt) };
process.stdout.write(`${JSON.stringify(tally)}\n`, () => process.exit(0));
