/** Breaks a frame, or leaves it whole in an unusual way. Whether it is broken is the oracle's to say. Pure but for chance. */
import type { Random } from "../support/random.ts";

export interface Mutated {
  how: string;
  text: string;
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
/** A place in a frame: who holds it, and under which name. */
interface Place {
  holder: Json[] | { [name: string]: Json };
  name: string | number;
}

/** Stands for a text that JSON.stringify would not write; replaced by it afterwards. */
const RAW = "\u0001raw\u0001";

const NUMBERS = ["1e400", "-1", "0", "-0", "1.5", "1e21", "9007199254740991", "9007199254740992", "4294967296", "1e-9"];
const LENGTHS = [41, 101, 256, 501, 1_025, 4_097, 8_200, 70_000, 262_144, 1_000_000] as const;
const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "ключ", "x".repeat(3_000)] as const;
const TYPES = ["__proto__", "constructor", "toString", "dance", "", "auth ", "x".repeat(64), "x".repeat(65)] as const;
const ROOTS = ["null", "[]", "{}", '""', "7", "true", "", " ", "[[", "{", "\u0000", '{"type":"ack"', "NaN"] as const;
const SCALARS: readonly [Json, ...Json[]] = [null, true, false, 0, 1, "", "x", [], {}, [[]], { a: 1 }];

const places = (holder: Json): Place[] => {
  if (typeof holder !== "object" || holder === null) return [];
  const own = Array.isArray(holder) ? holder : Object.entries(holder).map(([name]) => name);
  return own.flatMap((item, index) => {
    const name = Array.isArray(holder) ? index : (item as string);
    const value = (holder as Record<string | number, Json>)[name] as Json;
    return [{ holder, name }, ...places(value)];
  });
};

function set({ holder, name }: Place, value: Json): void {
  Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
}

function shuffled(value: Json, random: Random): Json {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, random));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(random.shuffled(Object.entries(value)).map(([name, one]) => [name, shuffled(one, random)]));
}

const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);

type Change = (frame: { [name: string]: Json }, random: Random) => string;
const write = (frame: Json, raw = ""): string => JSON.stringify(frame).replace(JSON.stringify(RAW), () => raw);

const anyPlace = (frame: Json, random: Random): Place => {
  const all = places(frame);
  return all[random.between(0, all.length - 1)] as Place;
};

/** In a place that holds such a value, if there is one. */
const placeOf = (frame: Json, random: Random, type: "string" | "number"): Place => {
  const fitting = places(frame).filter(({ holder, name }) => typeof (holder as never)[name] === type);
  return fitting[random.between(0, fitting.length - 1)] as Place;
};

const flipped = (text: string, random: Random): string => {
  const at = random.between(0, Math.max(0, text.length - 1));
  const code = text.charCodeAt(at) ^ (1 << random.between(0, 7));
  return text.slice(0, at) + String.fromCharCode(code) + text.slice(at + 1);
};

const CHANGES: Readonly<Record<string, Change>> = {
  untouched: (frame) => write(frame),
  "bit flips": (frame, random) => {
    let text = write(frame);
    for (let left = random.between(1, 3); left > 0; left -= 1) text = flipped(text, random);
    return text;
  },
  truncated: (frame, random) => {
    const text = write(frame);
    return text.slice(0, random.between(0, text.length - 1));
  },
  "a field twice": (frame, random) => {
    const [name = "", value = null] = random.pick(Object.entries(frame) as [[string, Json], ...[string, Json][]]);
    const other = random.next() < 0.5 ? value : random.pick(SCALARS);
    const twice = `${JSON.stringify(name)}:${JSON.stringify(other)}`;
    const text = write(frame);
    return random.next() < 0.5 ? `{${twice},${text.slice(1)}` : `${text.slice(0, -1)},${twice}}`;
  },
  "a field less": (frame, random) => {
    const { holder, name } = anyPlace(frame, random);
    if (Array.isArray(holder)) holder.splice(Number(name), 1);
    else delete holder[name];
    return write(frame);
  },
  "fields in another order": (frame, random) => write(shuffled(frame, random)),
  "an unknown field": (frame, random) => {
    const { holder } = anyPlace(frame, random);
    set({ holder, name: Array.isArray(holder) ? holder.length : random.pick(NAMES) }, random.pick(SCALARS));
    return write(frame);
  },
  "another type of value": (frame, random) => {
    set(anyPlace(frame, random), random.pick(SCALARS));
    return write(frame);
  },
  "an odd number": (frame, random) => {
    set(placeOf(frame, random, "number"), RAW);
    return write(frame, random.pick(NUMBERS as [string, ...string[]]));
  },
  "a long text": (frame, random) => {
    set(placeOf(frame, random, "string"), random.pick(["x", "ü", "\u2028"]).repeat(random.pick(LENGTHS)));
    return write(frame);
  },
  "half a character": (frame, random) => {
    set(placeOf(frame, random, "string"), random.pick(["\ud800", "a\udc00b", "\u0000"]));
    return write(frame);
  },
  "a deep nest": (frame, random) => {
    set(anyPlace(frame, random), RAW);
    const depth = random.pick([10, 1_000, 30_000, 120_000]);
    return write(
      frame,
      random.next() < 0.5 ? nested(depth, "[", "]") : `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`,
    );
  },
  "a long list": (frame, random) => {
    const lists = places(frame).filter(({ holder, name }) => Array.isArray((holder as never)[name]));
    const place = lists[random.between(0, Math.max(0, lists.length - 1))];
    if (place === undefined) return write(frame);
    const items = (place.holder as Record<string | number, Json>)[place.name] as Json[];
    set(
      place,
      Array.from({ length: random.pick([201, 501, 2_001]) }, () => items[0] ?? null),
    );
    return write(frame);
  },
  "another frame's type": (frame, random) => write({ ...frame, type: random.pick(TYPES) }),
  "another number": (frame, random) => {
    const seq = frame.seq as number;
    return write({ ...frame, seq: random.pick([0, -1, seq - 1, seq + 1, seq + 2, 1, seq + 1_000_000, seq + 0.5]) });
  },
  "another session": (frame, random) => {
    const session = frame.session as number;
    return write({ ...frame, session: random.pick([0, -1, session - 1, session + 1, 2 ** 53]) });
  },
  padded: (frame, random) => write(frame) + " ".repeat(random.pick([1, 8_192, 262_144, 1_048_000])),
  "no frame at all": (_frame, random) => random.pick(ROOTS),
  "bytes as text": (_frame, random) =>
    Buffer.from(Array.from({ length: random.between(1, 60) }, () => random.between(0, 255))).toString("latin1"),
};
const HOWS = Object.keys(CHANGES) as [string, ...string[]];

/** How often a frame is left as it is, so that a run is not broken handshakes only. */
const UNTOUCHED = 0.25;

export function mutated(frame: object, random: Random): Mutated {
  const how = random.next() < UNTOUCHED ? "untouched" : random.pick(HOWS);
  const copy = structuredClone(frame) as { [name: string]: Json };
  return { how, text: (CHANGES[how] as Change)(copy, random) };
}

/** Of a frame of log data. */
export function mutatedBytes(original: Uint8Array, random: Random): Uint8Array {
  const bytes = Buffer.from(original);
  switch (random.between(0, 6)) {
    case 0:
      return bytes;
    case 1:
      return bytes.subarray(0, random.between(0, bytes.length));
    case 2:
      // Also what is no UTF-8 any more.
      for (let left = random.between(1, 8); left > 0; left -= 1) {
        const at = random.between(0, bytes.length - 1);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7));
      }
      return bytes;
    case 3:
      return Buffer.concat([bytes, Buffer.alloc(random.pick([1, 1_000, 65_536, 65_537, 1_000_000]), 0xff)]);
    case 4:
      bytes.writeBigUInt64BE(random.pick([0n, 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n]), 6);
      return bytes;
    case 5:
      return bytes.subarray(0, 14);
    default:
      return Buffer.from(Array.from({ length: random.between(0, 40) }, () => random.between(0, 255)));
  }
}
