/** The last lines of a log stream: where another stream of the same service, or a viewer that comes back, finds its place. Pure. */
import type { LogLineOut } from "./agents.ts";

/** Far more than two streams that are both level with Docker's log lie apart, and little beside a stream's credit. */
export const RING_LIMITS = { lines: 2_000, characters: 256 * 1024 } as const;

/** A line, or a place of which only the cursor is known. */
export type LogPlace = Pick<LogLineOut, "cursor"> & Partial<LogLineOut>;

export interface LogRing {
  push(line: LogLineOut): void;
  /** The lines behind this place, in order; `undefined` when the ring does not hold it. */
  after(place: LogPlace): LogLineOut[] | undefined;
  /** Lines were lost: whoever meets the stream before this place would not hear of it. */
  clear(): void;
}

/** `start`: the cursor that the stream was opened behind; its first line will be the one that follows. */
export function createLogRing(start?: string): LogRing {
  let places: LogPlace[] = start === undefined ? [] : [{ cursor: start }];
  let characters = 0;
  /** Position in `places` by cursor; made when it is asked for, because most streams never meet another. */
  let index: Map<string, number> | undefined;

  /** Half at once, so that a line costs the same however long the stream. */
  const trim = (): void => {
    let first = places.length > RING_LIMITS.lines ? places.length - RING_LIMITS.lines / 2 : 0;
    for (let n = 0; n < first; n += 1) characters -= charactersOf(places[n]);
    while (characters > RING_LIMITS.characters / 2 && first < places.length - 1) {
      characters -= charactersOf(places[first]);
      first += 1;
    }
    places = places.slice(first);
    index = undefined;
  };

  const find = (place: LogPlace): number | undefined => {
    index ??= new Map(places.map(({ cursor }, position) => [cursor, position]));
    const position = index.get(place.cursor);
    const held = position === undefined ? undefined : places[position];
    return held !== undefined && isSame(held, place) ? position : undefined;
  };

  return {
    push(line) {
      index?.set(line.cursor, places.length);
      places.push(line);
      characters += charactersOf(line);
      if (places.length > RING_LIMITS.lines || characters > RING_LIMITS.characters) trim();
    },
    after(place) {
      const position = find(place);
      return position === undefined ? undefined : (places.slice(position + 1) as LogLineOut[]);
    },
    clear() {
      places = [];
      characters = 0;
      index = undefined;
    },
  };
}

const charactersOf = (place: LogPlace | undefined): number => place?.text?.length ?? 0;

/**
 * A stream whose history was cut by a tail may count the lines of its first timestamp from a later one, so that two
 * lines get one cursor; their text tells them apart.
 */
function isSame(held: LogPlace, place: LogPlace): boolean {
  if (held.text === undefined || place.text === undefined) return true;
  return held.text === place.text && held.stream === place.stream;
}
