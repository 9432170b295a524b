/** The server's time-outs and its room for connections, over real sockets. */
import type { Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createAddressReader } from "./client-address.ts";
import type { Fetch } from "./front-door.ts";
import { createHttpServer, type Timeouts } from "./server.ts";

let server: Server;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

const BIG = "x".repeat(32 * 1024 * 1024);
const answer: Fetch = async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname === "/big") return new Response(BIG);
  if (pathname === "/refused") return new Response("no", { status: 429 });
  if (pathname === "/slow") await new Promise((done) => setTimeout(done, 400));
  return new Response(await request.text());
};

async function start(options: {
  timeouts?: Partial<Timeouts>;
  connections?: number;
  connectionsPerAddress?: number;
  trustedProxies?: string[];
}): Promise<void> {
  const { timeouts = {}, connections = 1_000, connectionsPerAddress = 1_000, trustedProxies = [] } = options;
  server = createHttpServer({
    fetch: answer,
    addresses: createAddressReader(trustedProxies),
    limits: { connections, connectionsPerAddress },
    timeouts: { lookEveryMs: 20, ...timeouts },
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
}

interface Client {
  socket: Socket;
  received(): string;
  ended: Promise<void>;
  isOpen(): boolean;
}

function dial(text = "", localAddress = "127.0.0.1"): Client {
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", localAddress });
  sockets.push(socket);
  let received = "";
  let open = true;
  socket.on("data", (data) => {
    received += data.toString("latin1");
  });
  socket.on("error", () => undefined);
  const ended = new Promise<void>((done) => {
    socket.on("close", () => {
      open = false;
      done();
    });
  });
  if (text !== "") socket.write(text);
  return { socket, received: () => received, ended, isOpen: () => open };
}

const GET = (path = "/") => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const POST = (length: number, path = "/") => `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
const connections = () => new Promise<number>((done) => server.getConnections((_, count) => done(count)));
const answered = (client: Client) => expect.poll(client.received).toContain("HTTP/1.1 200");

/** One byte every so often, until the other side has had enough. */
async function trickle(client: Client, byte: string): Promise<void> {
  const timer = setInterval(() => client.isOpen() && client.socket.write(byte), 20);
  await client.ended;
  clearInterval(timer);
}

describe("time", () => {
  test("a connection on which nothing comes ends", async () => {
    await start({ timeouts: { headersMs: 100 } });
    const silent = dial();
    await silent.ended;
    expect(silent.received()).toContain("408");
  });

  test("a head that comes byte by byte ends, however steadily it comes", async () => {
    await start({ timeouts: { headersMs: 150 } });
    const slow = dial("GET / HTTP/1.1\r\nX-Long: ");
    await trickle(slow, "a");
    expect(slow.received()).toContain("408");
  });

  test("a body that comes byte by byte ends, however steadily it comes", async () => {
    await start({ timeouts: { headersMs: 100, requestMs: 200 } });
    const slow = dial(POST(100_000));
    await trickle(slow, "a");
    expect(slow.received()).toContain("408");
  });

  test("an answer that takes longer than a request may is given", async () => {
    await start({ timeouts: { headersMs: 100, requestMs: 100 } });
    await answered(dial(GET("/slow")));
  });

  test("an answer that nobody takes ends", async () => {
    await start({ timeouts: { silenceMs: 200 } });
    const deaf = dial(GET("/big"));
    deaf.socket.pause();
    await expect.poll(connections).toBe(1);
    await expect.poll(connections, { timeout: 5_000 }).toBe(0);
  });

  test("a connection between two requests ends after a while", async () => {
    await start({ timeouts: { keepAliveMs: 50 } });
    const idle = dial(GET());
    await answered(idle);
    await idle.ended;
  });

  test("a head of more than 16 KiB is refused", async () => {
    await start({});
    const large = dial(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(17 * 1024)}\r\n\r\n`);
    await expect.poll(large.received).toContain("431");
  });
});

describe("room", () => {
  test("an address with too many silent connections loses its oldest, and is still served", async () => {
    await start({ connectionsPerAddress: 8 });
    const silent: Client[] = [];
    for (let n = 0; n < 20; n += 1) silent.push(dial());
    await expect.poll(connections).toBe(8);
    await expect.poll(() => silent.filter((client) => client.isOpen()).length).toBe(8);
    await answered(dial(GET()));
  });

  test("what is being answered is never cut off for a newcomer of its own address", async () => {
    await start({ connectionsPerAddress: 4 });
    const asking = [1, 2, 3, 4].map(() => dial(GET("/slow")));
    await expect.poll(connections).toBe(4);
    await new Promise((done) => setTimeout(done, 50));
    await dial(GET()).ended;
    for (const client of asking) await answered(client);
  });

  test("a body that is still on its way gives up its place", async () => {
    await start({ connectionsPerAddress: 4 });
    const slow = [1, 2, 3, 4].map(() => dial(`${POST(100)}half`));
    await expect.poll(connections).toBe(4);
    await new Promise((done) => setTimeout(done, 50));
    await answered(dial(GET()));
    await expect.poll(() => slow.filter((client) => client.isOpen()).length).toBe(3);
  });

  test("a body that ends after its request was refused holds no place", async () => {
    await start({ connections: 4 });
    const refused = [1, 2, 3, 4].map(() => dial(`${POST(8, "/refused")}half`));
    for (const client of refused) await expect.poll(client.received).toContain("HTTP/1.1 429");
    for (const { socket } of refused) socket.write("rest");
    await new Promise((done) => setTimeout(done, 50));
    await answered(dial(GET(), "127.0.0.2"));
  });

  test("answers that nobody takes do not keep others out", async () => {
    await start({ connections: 6, connectionsPerAddress: 3 });
    const deaf = [2, 3].flatMap((n) => [1, 2, 3].map(() => dial(GET("/big"), `127.0.0.${n}`)));
    for (const { socket } of deaf) socket.pause();
    await expect.poll(connections).toBe(6);
    await new Promise((done) => setTimeout(done, 500));
    await answered(dial(GET(), "127.0.0.9"));
  });

  test("in a full house the address with most silent connections loses one, not whoever uses theirs", async () => {
    await start({ connections: 10 });
    const neighbour = dial(GET(), "127.0.0.2");
    await answered(neighbour);
    for (let n = 0; n < 40; n += 1) dial("", `127.0.0.${10 + (n % 4)}`);
    await expect.poll(connections).toBe(10);
    neighbour.socket.write(GET());
    await expect.poll(() => neighbour.received().split("HTTP/1.1 200").length).toBe(3);
  });

  test("a trusted proxy may hold as many as there is room for", async () => {
    await start({ connectionsPerAddress: 4, trustedProxies: ["127.0.0.1"] });
    for (let n = 0; n < 20; n += 1) dial();
    await expect.poll(connections).toBe(20);
  });
});
