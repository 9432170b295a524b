/** A TCP proxy between an agent and its control plane, which a test can cut, or let swallow everything, and mend again. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** "cut": connections break and none is taken. "black hole": all stay open and nothing gets through, as behind a dead route. */
export type LinkMode = "open" | "cut" | "black hole";

export interface LinkProxy {
  /** What the agent dials. */
  url: string;
  /** Where it leads; connections that come before are refused. */
  aim(port: number): void;
  set(mode: LinkMode): void;
  close(): Promise<void>;
}

export async function startLinkProxy(): Promise<LinkProxy> {
  let mode: LinkMode = "open";
  let target: number | undefined;
  const pairs = new Set<[Socket, Socket]>();
  const unanswered = new Set<Socket>();

  const destroy = (pair: readonly Socket[]) => {
    for (const socket of pair) socket.destroy();
  };
  const join = ([near, far]: [Socket, Socket]) => {
    near.pipe(far);
    far.pipe(near);
  };
  /** What is under way stays in the sockets and arrives when the link is mended, as a retransmission would. */
  const part = ([near, far]: [Socket, Socket]) => {
    for (const socket of [near, far]) {
      socket.unpipe();
      socket.pause();
    }
  };

  // Half-open allowed: in a black hole neither side may learn of the other's end.
  const server = createServer({ allowHalfOpen: true }, (near) => {
    near.on("error", () => near.destroy());
    if (mode === "cut" || target === undefined) return void near.destroy();
    if (mode === "black hole") {
      unanswered.add(near);
      return;
    }
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    far.on("error", () => far.destroy());
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on("close", () => {
        if (mode === "black hole") return;
        pairs.delete(pair);
        destroy(pair);
      });
    }
    join(pair);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const drop = () => {
    for (const pair of pairs) destroy(pair);
    for (const socket of unanswered) socket.destroy();
    pairs.clear();
    unanswered.clear();
  };

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    aim(port) {
      target = port;
    },
    set(next) {
      if (next === mode) return;
      mode = next;
      if (next === "cut") return drop();
      if (next === "black hole") {
        for (const pair of pairs) part(pair);
        return;
      }
      for (const pair of [...pairs]) {
        if (pair.every((socket) => !socket.destroyed)) join(pair);
        else {
          pairs.delete(pair);
          destroy(pair);
        }
      }
      // Whoever knocked meanwhile tries again.
      for (const socket of unanswered) socket.destroy();
      unanswered.clear();
    },
    async close() {
      drop();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
