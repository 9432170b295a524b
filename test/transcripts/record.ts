/** Records what both real sides say to each other while a scene is played, in virtual time with fixed keys and chance. */
import type { Dial, SocketEvents } from "../../agent/src/link/socket.ts";
import type { Connection } from "../../control-plane/src/agents/connection.ts";
import type { Life } from "../simulate/life.ts";
import type { Listener } from "../simulate/network.ts";
import type { Template } from "../simulate/template.ts";
import { createWorld, type World, whileTimeGoesOn } from "../simulate/world.ts";
import type { Frame, Line, Said, Side, Step, Transcript } from "./lines.ts";
import { type AgentSide, type ControlPlaneSide, createAgentSide, createControlPlaneSide } from "./sides.ts";

/** What a scene can do. */
export interface Director {
  /** Something from outside happens. */
  step(step: Step): Promise<void>;
  /** Waits until this side was told so, later than what was waited for before. */
  heard(side: Side, type: string, isIt?: (data: never) => boolean): Promise<void>;
  /** Waits until a side has heard of a connection's end. */
  ended(side: Side): Promise<void>;
  waits(ms: number): Promise<void>;
  /** A frame that its sender's code does not say here. Its own count goes on without it, so cut the link afterwards. */
  inject(from: Side, frame: Omit<Frame, "seq" | "session">): void;
  /** Nothing of one end comes to the other any more; these hear so a little later. */
  cut(heard?: readonly Side[]): void;
}

export interface Scene {
  name: string;
  play(director: Director): Promise<void>;
}

/** Not whole, so that what arrives falls together with no timer of either side. */
const ONE_WAY_MS = 5.25;
const CUT_HEARD_MS = 11.25;
const PATIENCE_MS = 120_000;

interface Pair {
  conn: number;
  agent: Life;
  events: SocketEvents;
  connection: Connection;
  counts: Record<Side, number>;
  session: number;
  isCut: boolean;
  over: Record<Side, boolean>;
}

export async function record(template: Template, scene: Scene): Promise<Transcript> {
  const world = createWorld(0);
  const folder = template.copy();
  const lines: Line[] = [];
  const link = createRecordedLink(world, lines);
  const agent = createAgentSide(world, template, folder.agentDir, link);
  const controlPlane = await createControlPlaneSide(world, template, folder.database, link);
  const onRejection = (error: unknown) => world.wrong(`nobody waited for: ${String(error)}`);
  process.on("unhandledRejection", onRejection);
  try {
    await scene.play(directorOf(world, lines, link, [agent, controlPlane]));
    if (world.violations().length > 0) throw new Error(`${scene.name}: ${world.violations().join("\n")}`);
    return { name: scene.name, lines };
  } finally {
    await agent.end();
    await controlPlane.end();
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

function directorOf(
  world: World,
  lines: Line[],
  link: ReturnType<typeof createRecordedLink>,
  sides: [AgentSide, ControlPlaneSide],
): Director {
  /** Index of the first line that nobody has waited for yet. */
  let next = 0;
  const awaitLine = async (what: string, isIt: (line: Line) => boolean): Promise<void> => {
    const find = () => lines.findIndex((line, index) => index >= next && isIt(line));
    if (!(await world.runUntilSo(world.nowMs() + PATIENCE_MS, () => find() !== -1))) {
      throw new Error(`${what} did not come; ${world.violations().join("\n")}\n${world.trace().join("\n")}`);
    }
    next = find() + 1;
  };
  const waits = (ms: number) => world.runUntil(world.nowMs() + ms);
  return {
    waits,
    async step(step) {
      // A moment of its own, for the same reason as the frames'.
      await waits(0.5);
      lines.push({ at: world.nowMs(), step });
      for (const side of sides) await whileTimeGoesOn(world, side.perform(step));
      await waits(0);
    },
    heard: (side, type, isIt = () => true) =>
      awaitLine(
        `${type} at the ${side}`,
        (line) =>
          "frame" in line &&
          line.from !== side &&
          line.frame.type === type &&
          (line.arrived ?? Number.POSITIVE_INFINITY) <= world.nowMs() &&
          isIt(line.frame.data as never),
      ),
    ended: (side) => awaitLine("an end", (line) => "hears" in line && line.hears === side),
    inject: link.inject,
    cut: link.cut,
  };
}

function createRecordedLink(world: World, lines: Line[]) {
  let pair: Pair | undefined;
  let conns = 0;

  const deliver = (to: Pair, said: Said, hand: () => void) => {
    lines.push(said);
    world.after(ONE_WAY_MS, () => {
      if (to.isCut || to.over[said.from === "agent" ? "control plane" : "agent"]) return;
      said.arrived = world.nowMs();
      hand();
    });
  };
  const end = (of: Pair, side: Side, code: number, reason: string) => {
    if (of.over[side]) return;
    of.over[side] = true;
    lines.push({ at: world.nowMs(), conn: of.conn, hears: side, close: { code, reason } });
    if (side === "agent") of.agent.run("a closed socket", () => of.events.closed(code, reason));
    else of.connection.wireClosed();
  };
  const close = (of: Pair, from: Side, code: number, reason: string) => {
    lines.push({ at: world.nowMs(), conn: of.conn, from, close: { code, reason } });
    world.after(ONE_WAY_MS, () => end(of, from === "agent" ? "control plane" : "agent", code, reason));
    world.after(2 * ONE_WAY_MS, () => end(of, from, code, reason));
  };
  const toControlPlane = (of: Pair, text: string, injected?: true) => {
    const { conn } = of;
    const frame = JSON.parse(text) as Frame;
    of.counts.agent = frame.seq;
    of.session = frame.session;
    const said: Said = { at: world.nowMs(), conn, from: "agent", ...(injected ? { injected } : {}), frame };
    deliver(of, said, () => of.connection.receiveText(text));
  };
  const toAgent = (of: Pair, text: string, injected?: true) => {
    const { conn } = of;
    const frame = JSON.parse(text) as Frame;
    of.counts["control plane"] = frame.seq;
    const said: Said = { at: world.nowMs(), conn, from: "control plane", ...(injected ? { injected } : {}), frame };
    deliver(of, said, () =>
      of.agent.run("a frame", () => {
        of.events.alive();
        of.events.text(text);
      }),
    );
  };

  const open = (agent: Life, events: SocketEvents, listener: Listener): Pair => {
    conns += 1;
    const opened = {
      ...{ conn: conns, agent, events, session: 0, isCut: false },
      counts: { agent: 0, "control plane": 0 },
      over: { agent: false, "control plane": false },
    } as unknown as Pair;
    pair = opened;
    lines.push({ at: world.nowMs(), conn: conns, opened: true });
    agent.run("an open socket", () => events.opened());
    opened.connection = listener.accept({
      send: (text) => toAgent(opened, text),
      close: (code, reason) => close(opened, "control plane", code, reason),
      closeUnread: (code, reason) => close(opened, "control plane", code, reason),
      terminate: () => close(opened, "control plane", 1006, ""),
      pause: () => undefined,
      resume: () => undefined,
      bufferedBytes: () => 0,
    });
    // The machine that a process died on ends its connections.
    agent.onDeath(() => {
      opened.over.agent = true;
      world.after(ONE_WAY_MS, () => end(opened, "control plane", 1006, ""));
    });
    return opened;
  };

  const link = {
    listener: undefined as Listener | undefined,
    dialFor:
      (agent: Life): Dial =>
      (_url, _subprotocol, events) => {
        let own: Pair | undefined;
        world.after(ONE_WAY_MS, () => {
          if (link.listener !== undefined && agent.isAlive()) own = open(agent, events, link.listener);
        });
        return {
          sendText(text, onSent) {
            if (own === undefined || own.over.agent || !agent.isAlive()) return;
            toControlPlane(own, text);
            agent.after(0, onSent);
          },
          sendBytes(bytes, onSent) {
            if (own === undefined || own.over.agent || !agent.isAlive()) return;
            const { connection, conn } = own;
            const said: Said = { at: world.nowMs(), conn, from: "agent", bytes: Buffer.from(bytes).toString("base64") };
            deliver(own, said, () => connection.receiveBinary(bytes));
            agent.after(0, onSent);
          },
          bufferedBytes: () => 0,
          close: (code, reason) => own && close(own, "agent", code, reason),
          terminate: () => own && !own.over.agent && close(own, "agent", 1006, ""),
        };
      },
    inject(from: Side, { type, data }: Omit<Frame, "seq" | "session">) {
      if (pair === undefined) throw new Error("nobody is connected");
      const text = JSON.stringify({ type, seq: pair.counts[from] + 1, session: pair.session, data });
      if (from === "agent") toControlPlane(pair, text, true);
      else toAgent(pair, text, true);
    },
    cut(heard: readonly Side[] = ["agent", "control plane"]) {
      const of = pair;
      if (of === undefined) throw new Error("nobody is connected");
      of.isCut = true;
      world.after(CUT_HEARD_MS, () => {
        for (const side of heard) end(of, side, 1006, "cut");
      });
    },
  };
  return link;
}
