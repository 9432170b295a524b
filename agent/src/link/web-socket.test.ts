import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { SUBPROTOCOL } from "@dflow/protocol";
import { afterEach, expect, test } from "vitest";
import { dialWebSocket } from "./web-socket.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** What the link hears of a dial whose upgrade is answered with these lines. */
async function answered(head: string): Promise<unknown[]> {
  const server = createServer().on("upgrade", (_request, socket) => socket.end(`HTTP/1.1 ${head}\r\n\r\n`));
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return new Promise((done) => {
    const ignore = () => undefined;
    dialWebSocket(`ws://127.0.0.1:${port}/agent/v1`, SUBPROTOCOL, {
      opened: ignore,
      text: ignore,
      alive: ignore,
      bytes: ignore,
      closed: (...heard) => done(heard),
    });
  });
}

test("a refused upgrade ends with its status, and with the time that it asks for", async () => {
  expect(await answered("503 Service Unavailable\r\nRetry-After: 20")).toEqual([
    1006,
    "the upgrade was answered with 503",
    20_000,
  ]);
  expect(await answered("429 Too Many Requests\r\nRetry-After: tomorrow")).toEqual([
    1006,
    "the upgrade was answered with 429",
    undefined,
  ]);
});
