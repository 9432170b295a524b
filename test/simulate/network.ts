/**
 * The link in memory: two ends of a websocket with what lies between them. As over TCP frames arrive in order or not at
 * all; on top of it the seed may lose or repeat one, which the protocol has to notice by itself.
 */
import type { Dial, Socket, SocketEvents } from "../../agent/src/link/socket.ts";
import type { Connection, Wire } from "../../control-plane/src/agents/connection.ts";
import type { Life } from "./life.ts";
import type { World } from "./world.ts";

export interface Weather {
  /** Nothing arrives, nothing is refused: half open. What was sent arrives when it is over. */
  blackHole: boolean;
  delayMs: [from: number, to: number];
  /** Of a thousand frames. */
  lost: number;
  repeated: number;
}

export const FAIR: Weather = { blackHole: false, delayMs: [1, 20], lost: 0, repeated: 0 };

export interface Listener {
  life: Life;
  accept(wire: Wire): Connection;
}

export interface Network {
  weather: Weather;
  /** Who answers at the control plane's address now. */
  listener: Listener | undefined;
  dialFor(life: Life): Dial;
  /** Nothing comes through any connection that is open now; these ends hear that it is so. */
  cut(heard: readonly ("agent" | "control plane")[]): void;
  heal(): void;
  /** Sockets of living agents that are not closed. */
  open(): number;
}

interface Pair {
  agent: Life;
  listener: Listener;
  events: SocketEvents;
  connection: Connection;
  toAgent: Lane;
  toControlPlane: Lane;
  /** Nothing of one end comes to the other any more. */
  isCut: boolean;
  agentClosed: boolean;
  serverClosed: boolean;
}

/** One direction. */
interface Lane {
  lastAtMs: number;
  bytes: number;
  /** Deliveries that wait for a black hole to end, or for the reader. */
  held: (() => void)[];
  paused: boolean;
}

const CONNECT_MS: [number, number] = [1, 50];
const RST_MS: [number, number] = [1, 50];

export function createNetwork(world: World): Network {
  const pairs = new Set<Pair>();
  const newLane = (): Lane => ({ lastAtMs: 0, bytes: 0, held: [], paused: false });
  const chance = (perThousand: number) => perThousand > 0 && world.random.next() * 1_000 < perThousand;

  const send = (lane: Lane, bytes: number, deliver: () => void, isFrame = true): void => {
    if (isFrame && chance(network.weather.lost)) return;
    const times = isFrame && chance(network.weather.repeated) ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      const atMs = Math.max(lane.lastAtMs, world.nowMs() + world.random.between(...network.weather.delayMs));
      lane.lastAtMs = atMs;
      lane.bytes += bytes;
      const arrive = () => {
        if (network.weather.blackHole || lane.paused || lane.held.length > 0) return void lane.held.push(arrived);
        arrived();
      };
      const arrived = () => {
        lane.bytes -= bytes;
        deliver();
      };
      world.after(atMs - world.nowMs(), arrive);
    }
  };
  const release = (lane: Lane): void => {
    while (!lane.paused && !network.weather.blackHole) {
      const next = lane.held.shift();
      if (next === undefined) return;
      next();
    }
  };

  const closeAgent = (pair: Pair, code: number, reason: string): void => {
    if (pair.agentClosed) return;
    pair.agentClosed = true;
    pair.agent.run("a closed socket", () => pair.events.closed(code, reason));
    if (pair.serverClosed) pairs.delete(pair);
  };
  const closeServer = (pair: Pair): void => {
    if (pair.serverClosed) return;
    pair.serverClosed = true;
    pair.listener.life.run("a closed socket", () => pair.connection.wireClosed());
    if (pair.agentClosed) pairs.delete(pair);
  };

  /** The word that one end is closed goes the way of everything else. */
  const sendEnd = (pair: Pair, lane: Lane, deliver: () => void): void =>
    send(
      lane,
      0,
      () => {
        if (!pair.isCut) deliver();
      },
      false,
    );
  const sendEndToAgent = (pair: Pair, code: number, reason: string): void =>
    sendEnd(pair, pair.toAgent, () => closeAgent(pair, code, reason));
  const sendEndToServer = (pair: Pair): void => sendEnd(pair, pair.toControlPlane, () => closeServer(pair));

  const agentSocket = (pair: Pair): Socket => ({
    sendText(text, onSent) {
      if (pair.agentClosed || !pair.agent.isAlive()) return;
      send(pair.toControlPlane, text.length, () => {
        if (!pair.serverClosed && !pair.isCut)
          pair.listener.life.run("a frame", () => pair.connection.receiveText(text));
      });
      pair.agent.after(0, onSent);
    },
    sendBytes(bytes, onSent) {
      if (pair.agentClosed || !pair.agent.isAlive()) return;
      send(pair.toControlPlane, bytes.length, () => {
        if (!pair.serverClosed && !pair.isCut)
          pair.listener.life.run("bytes", () => pair.connection.receiveBinary(bytes));
        pair.agent.run("sent", onSent);
      });
    },
    bufferedBytes: () => pair.toControlPlane.bytes,
    close(code, reason) {
      sendEndToServer(pair);
      sendEndToAgent(pair, code, reason);
    },
    terminate() {
      world.after(0, () => closeAgent(pair, 1006, "terminated"));
      sendEndToServer(pair);
    },
  });

  const serverWire = (pair: Pair): Wire => ({
    send(text) {
      if (pair.serverClosed || !pair.listener.life.isAlive()) return;
      send(pair.toAgent, text.length, () => {
        if (pair.agentClosed || pair.isCut) return;
        pair.agent.run("a frame", () => {
          pair.events.alive();
          pair.events.text(text);
        });
      });
    },
    close(code, reason) {
      sendEndToAgent(pair, code, reason);
      world.after(0, () => closeServer(pair));
    },
    closeUnread(code, reason) {
      sendEndToAgent(pair, code, reason);
      world.after(0, () => closeServer(pair));
    },
    terminate() {
      sendEndToAgent(pair, 1006, "reset");
      world.after(0, () => closeServer(pair));
    },
    pause() {
      pair.toControlPlane.paused = true;
    },
    resume() {
      pair.toControlPlane.paused = false;
      release(pair.toControlPlane);
    },
    bufferedBytes: () => pair.toAgent.bytes,
  });

  /** The kernel of the machine that a process died on tells the other side. */
  const onDeathOf = (pair: Pair): void => {
    pair.agent.onDeath(() => {
      pair.agentClosed = true;
      sendEndToServer(pair);
    });
    pair.listener.life.onDeath(() => {
      pair.serverClosed = true;
      sendEndToAgent(pair, 1006, "reset");
    });
  };

  const network: Network = {
    weather: FAIR,
    listener: undefined,
    dialFor: (agent) => (_url, _subprotocol, events) => {
      let opened: Pair | undefined;
      let given: Socket | undefined;
      let ended = false;
      const fail = (reason: string) => {
        if (ended) return;
        ended = true;
        agent.run("a refused connection", () => events.closed(1006, reason));
      };
      world.after(world.random.between(...CONNECT_MS), () => {
        const { listener } = network;
        if (ended || !agent.isAlive() || network.weather.blackHole) return;
        if (listener === undefined || !listener.life.isAlive()) return fail("refused");
        const lanes = { toAgent: newLane(), toControlPlane: newLane() };
        const pair: Pair = {
          agent,
          listener,
          events,
          ...lanes,
          isCut: false,
          agentClosed: false,
          serverClosed: false,
        } as Pair;
        pair.agent.run("an open socket", () => events.opened());
        listener.life.run("a new socket", () => {
          pair.connection = listener.accept(serverWire(pair));
        });
        opened = pair;
        given = agentSocket(pair);
        pairs.add(pair);
        onDeathOf(pair);
      });
      const open = () => (opened !== undefined && !opened.agentClosed ? given : undefined);
      return {
        sendText: (text, onSent) => open()?.sendText(text, onSent),
        sendBytes: (bytes, onSent) => open()?.sendBytes(bytes, onSent),
        bufferedBytes: () => open()?.bufferedBytes() ?? 0,
        close: (code, reason) => (given === undefined ? fail("closed") : given.close(code, reason)),
        terminate: () => (given === undefined ? fail("terminated") : given.terminate()),
      };
    },
    cut(heard) {
      for (const pair of pairs) {
        pair.isCut = true;
        if (heard.includes("agent")) world.after(world.random.between(...RST_MS), () => closeAgent(pair, 1006, "cut"));
        if (heard.includes("control plane")) world.after(world.random.between(...RST_MS), () => closeServer(pair));
      }
    },
    heal() {
      network.weather = FAIR;
      for (const pair of pairs) {
        release(pair.toAgent);
        release(pair.toControlPlane);
      }
    },
    open: () => [...pairs].filter((pair) => !pair.agentClosed && pair.agent.isAlive()).length,
  };
  return network;
}
