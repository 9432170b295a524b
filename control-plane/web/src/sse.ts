/**
 * Reads server-sent events over fetch. Not the browser's EventSource: that one hides the answer's status and problem
 * document, cannot send a cursor of our choice, and does not notice a connection that went silent.
 */

export interface SseEvent {
  event: string;
  data: string;
  id: string | undefined;
}

/** Splits a text stream into events. Feed it pieces in any cut; it gives what is complete. */
export function createSseParser(): (piece: string) => SseEvent[] {
  let buffer = "";
  let event = "";
  let data: string[] = [];
  let id: string | undefined;
  return (piece) => {
    const events: SseEvent[] = [];
    buffer += piece;
    // A piece may end between CR and LF: such a line waits for the next piece.
    const lines = buffer.split(/\r\n|\n|\r(?!$)/);
    buffer = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0 || event !== "") events.push({ event: event || "message", data: data.join("\n"), id });
        event = "";
        data = [];
        id = undefined;
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") event = value;
      else if (field === "data") data.push(value);
      else if (field === "id") id = value;
    }
    return events;
  };
}

/** The server answered with something other than a stream. `body` is the problem document when there was one. */
export class StreamRefused extends Error {
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    super(`The stream was refused with status ${status}.`);
    this.name = "StreamRefused";
    this.status = status;
    this.body = body;
  }
}

export interface SseOptions {
  url: string;
  lastEventId?: string | undefined;
  signal: AbortSignal;
  /** The server sends a comment now and then; silence longer than this means that the connection is dead. */
  silenceMs: number;
  onOpen?: () => void;
  onEvent: (event: SseEvent) => void;
  fetch?: typeof fetch;
}

/** Resolves when the server ends the stream; rejects when it is refused, cut or silent. */
export async function readSse(options: SseOptions): Promise<void> {
  const cut = new AbortController();
  const signal = AbortSignal.any([options.signal, cut.signal]);
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (options.lastEventId !== undefined) headers["last-event-id"] = options.lastEventId;
  let watchdog: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => cut.abort(new Error("The stream went silent.")), options.silenceMs);
  };
  heard();
  try {
    const doFetch = options.fetch ?? fetch;
    const response = await doFetch(options.url, { headers, signal, cache: "no-store", credentials: "same-origin" });
    if (!response.ok || response.body === null) throw new StreamRefused(response.status, await bodyOf(response));
    options.onOpen?.();
    const parse = createSseParser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      for (const event of parse(decoder.decode(value, { stream: true }))) options.onEvent(event);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Waits, or rejects at once when the signal fires. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}
