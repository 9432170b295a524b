/**
 * Plays a transcript against one real side: what the other said is said to it again, at the same moments, and what it
 * answers stands beside what was answered when the transcript was recorded.
 */
import { isDeepStrictEqual } from "node:util";
import type { Dial, SocketEvents } from "../../agent/src/link/socket.ts";
import type { Connection } from "../../control-plane/src/agents/connection.ts";
import type { Life } from "../simulate/life.ts";
import type { Listener } from "../simulate/network.ts";
import type { Template } from "../simulate/template.ts";
import { createWorld, type World } from "../simulate/world.ts";
import type { Close, Frame, Line, Side, Step, Transcript } from "./lines.ts";
import { createAgentSide, createControlPlaneSide, type ToldSide } from "./sides.ts";

/** What one side says on one connection. */
export type Word = { conn: number } & ({ frame: Frame } | { bytes: string } | { close: Close });

export interface Replay {
  /** By the transcript. */
  expected: Word[];
  said: Word[];
  violations: readonly string[];
}

/** After the last line the recording ended: what is said then is not compared, but nothing may go wrong. */
const AFTERWARDS_MS = 1_000;

/** What a side said by itself. That it ends its socket without a word is seen by its silence. */
export function wordsOf(lines: readonly Line[], side: Side): Word[] {
  return lines.flatMap((line): Word[] => {
    if (!("from" in line) || line.from !== side) return [];
    const { conn } = line;
    if ("close" in line) return [{ conn, close: line.close }];
    if (line.injected === true) return [];
    return "frame" in line ? [{ conn, frame: line.frame }] : [{ conn, bytes: line.bytes }];
  });
}

export async function replayToAgent(template: Template, transcript: Transcript): Promise<Replay> {
  const said: Word[] = [];
  const dialled: { agent: Life; events: SocketEvents }[] = [];
  const dialFor =
    (agent: Life): Dial =>
    (_url, _subprotocol, events) => {
      const conn = dialled.push({ agent, events });
      return {
        sendText(text, onSent) {
          said.push({ conn, frame: JSON.parse(text) as Frame });
          agent.after(0, onSent);
        },
        sendBytes(bytes, onSent) {
          said.push({ conn, bytes: Buffer.from(bytes).toString("base64") });
          agent.after(0, onSent);
        },
        bufferedBytes: () => 0,
        close: (code, reason) => void said.push({ conn, close: { code, reason } }),
        terminate: () => undefined,
      };
    };
  return replay(template, transcript, "agent", said, {
    begin: async (world, { agentDir }) => createAgentSide(world, template, agentDir, { dialFor }),
    hear(conn, tell) {
      const dial = dialled[conn - 1];
      // It is not dialled at all: then its words are missing, and that is what the test sees.
      dial?.agent.run("the transcript", () => tell.agent(dial.events));
    },
  });
}

export async function replayToControlPlane(template: Template, transcript: Transcript): Promise<Replay> {
  const said: Word[] = [];
  const network: { listener: Listener | undefined } = { listener: undefined };
  const connections = new Map<number, Connection>();
  const accept = (conn: number) => {
    const connection = network.listener?.accept({
      send: (text) => void said.push({ conn, frame: JSON.parse(text) as Frame }),
      close: (code, reason) => void said.push({ conn, close: { code, reason } }),
      closeUnread: (code, reason) => void said.push({ conn, close: { code, reason } }),
      terminate: () => void said.push({ conn, close: { code: 1006, reason: "" } }),
      pause: () => undefined,
      resume: () => undefined,
      bufferedBytes: () => 0,
    });
    if (connection !== undefined) connections.set(conn, connection);
  };
  return replay(template, transcript, "control plane", said, {
    begin: (world, { database }) => createControlPlaneSide(world, template, database, network),
    hear(conn, tell) {
      if (!connections.has(conn)) accept(conn);
      const connection = connections.get(conn);
      if (connection !== undefined) tell.controlPlane(connection);
    },
  });
}

/** How something of a transcript is told to a side. */
interface Telling {
  agent(events: SocketEvents): void;
  controlPlane(connection: Connection): void;
}

interface Stage {
  begin(world: World, folder: { agentDir: string; database: string }): Promise<ToldSide>;
  hear(conn: number, telling: Telling): void;
}

async function replay(
  template: Template,
  { lines }: Transcript,
  side: Side,
  said: Word[],
  stage: Stage,
): Promise<Replay> {
  const world = createWorld(0);
  const folder = template.copy();
  const told = await stage.begin(world, folder);
  const onRejection = (error: unknown) => world.wrong(`nobody waited for: ${String(error)}`);
  process.on("unhandledRejection", onRejection);
  const perform = (step: Step) => void told.perform(step).catch(onRejection);
  try {
    for (const line of lines) {
      if ("step" in line) world.after(line.at, () => perform(line.step));
      const telling = tellingOf(line, side);
      if (telling !== undefined && "conn" in line) world.after(momentOf(line), () => stage.hear(line.conn, telling));
    }
    await world.runUntil(lines.at(-1)?.at ?? 0);
    const untilTheLast = [...said];
    await world.runUntil(world.nowMs() + AFTERWARDS_MS);
    return { expected: wordsOf(lines, side), said: untilTheLast, violations: world.violations() };
  } finally {
    await told.end();
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

const momentOf = (line: Line): number => ("arrived" in line ? (line.arrived ?? line.at) : line.at);

/** What the side is told by a line; `undefined` when nothing. */
function tellingOf(line: Line, side: Side): Telling | undefined {
  if ("opened" in line) return { agent: (events) => events.opened(), controlPlane: () => undefined };
  if ("hears" in line) {
    if (line.hears !== side) return undefined;
    const { code, reason } = line.close;
    return { agent: (events) => events.closed(code, reason), controlPlane: (connection) => connection.wireClosed() };
  }
  if (!("from" in line) || "close" in line || line.from === side || line.arrived === undefined) return undefined;
  if ("frame" in line) {
    const text = JSON.stringify(line.frame);
    return {
      agent(events) {
        events.alive();
        events.text(text);
      },
      controlPlane: (connection) => connection.receiveText(text),
    };
  }
  const bytes = Buffer.from(line.bytes, "base64");
  return { agent: (events) => events.bytes(), controlPlane: (connection) => connection.receiveBinary(bytes) };
}

/**
 * The first word of an older transcript that is not said any more, or `undefined`. A newer version may say more: fields
 * that the older one drops, and frames that it answers with `error`. What it said before, it still says, in that order.
 */
export function firstMissing(expected: readonly Word[], said: readonly Word[]): Word | undefined {
  let next = 0;
  for (const word of said) {
    const wanted = expected[next];
    if (wanted !== undefined && holds(withoutSeq(word), withoutSeq(wanted))) next += 1;
  }
  return expected[next];
}

/** More frames in between make the later ones' numbers higher. */
const withoutSeq = (word: Word): unknown => ("frame" in word ? { ...word, frame: { ...word.frame, seq: 0 } } : word);

function holds(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(actual) &&
      actual.length === wanted.length &&
      wanted.every((item, index) => holds(actual[index], item))
    );
  }
  if (typeof wanted !== "object" || wanted === null) return isDeepStrictEqual(actual, wanted);
  if (typeof actual !== "object" || actual === null) return false;
  const fields = actual as Record<string, unknown>;
  return Object.entries(wanted).every(([name, value]) => name in fields && holds(fields[name], value));
}
