/** Reads a server-sent event stream, one event at a time, never waiting for ever. */

export interface ReadEvent {
  event: string;
  id: string | undefined;
  data: unknown;
}

export interface EventReader {
  /** The next event, or undefined when the stream has ended. */
  next(): Promise<ReadEvent | undefined>;
  /** True when nothing comes for a while. */
  isQuiet(): Promise<boolean>;
  cancel(): Promise<void>;
}

const DEADLINE_MS = 5_000;
const QUIET_MS = 60;

export function readEvents(response: Response): EventReader {
  if (response.body === null) throw new Error("the answer has no body");
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const ready: ReadEvent[] = [];
  let text = "";
  let pending: Promise<boolean> | undefined;

  /** Resolves false at the end of the stream. */
  const pull = (): Promise<boolean> => {
    pending ??= reader.read().then(({ done, value }) => {
      pending = undefined;
      if (done) return false;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = parseBlock(block);
        if (event !== undefined) ready.push(event);
      }
      return true;
    });
    return pending;
  };
  const within = <T>(work: Promise<T>, ms: number): Promise<T | "late"> =>
    Promise.race([work, new Promise<"late">((resolve) => setTimeout(() => resolve("late"), ms))]);

  return {
    async next() {
      for (;;) {
        const event = ready.shift();
        if (event !== undefined) return event;
        const more = await within(pull(), DEADLINE_MS);
        if (more === "late") throw new Error(`no event within ${DEADLINE_MS} ms`);
        if (!more) return undefined;
      }
    },
    async isQuiet() {
      for (;;) {
        if (ready.length > 0) return false;
        const more = await within(pull(), QUIET_MS);
        if (more === "late") return true;
        if (!more) return false;
      }
    },
    cancel: () => reader.cancel(),
  };
}

function parseBlock(block: string): ReadEvent | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const event = fields.get("event");
  if (event === undefined) return undefined;
  return { event, id: fields.get("id"), data: JSON.parse(fields.get("data") ?? "null") };
}
