/** The proxy that stands for the network: open, cut, and swallowing everything until it is mended. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type LinkProxy, startLinkProxy } from "./link-proxy.ts";
import { until } from "./until.ts";

let server: Server;
let proxy: LinkProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  // Says everything back.
  server = createServer((socket) => {
    sockets.push(socket.on("error", () => socket.destroy()));
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy = await startLinkProxy();
  proxy.aim((server.address() as AddressInfo).port);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
  server.close();
});

function dial() {
  const heard: string[] = [];
  const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => socket.destroy());
  socket.on("data", (data) => heard.push(data.toString()));
  return { socket, text: () => heard.join("") };
}

test("an open link carries both ways", async () => {
  const { socket, text } = dial();
  socket.write("hello");
  await until("the echo", () => text() === "hello");
});

test("a cut breaks what is open and takes nothing, until it is mended", async () => {
  const first = dial();
  first.socket.write("hello");
  await until("the echo", () => first.text() === "hello");
  proxy.set("cut");
  await until("the end of the first", () => first.socket.destroyed);
  const second = dial();
  await until("the end of the second", () => second.socket.destroyed);
  proxy.set("open");
  const third = dial();
  third.socket.write("again");
  await until("the echo", () => third.text() === "again");
});

test("a black hole keeps connections open and lets nothing through; what was sent arrives when it is mended", async () => {
  const { socket, text } = dial();
  socket.write("before ");
  await until("the echo", () => text() === "before ");
  proxy.set("black hole");
  socket.write("meanwhile");
  const late = dial();
  await once(late.socket, "connect");
  late.socket.write("anybody there?");
  await new Promise((done) => setTimeout(done, 100));
  expect([text(), late.text(), socket.destroyed, late.socket.destroyed]).toEqual(["before ", "", false, false]);
  proxy.set("open");
  await until("what was sent meanwhile", () => text() === "before meanwhile");
  await until("the end of the one that nobody answered", () => late.socket.destroyed);
});
