/** HTTP as programs and browsers use it, with each answer kept as a place to search. */
import type { Place } from "./evidence.ts";

export interface RecordedAnswer {
  status: number;
  text: string;
  json: Record<string, unknown>;
  /** `name=value` of the cookies that came. */
  cookie: string;
}

export interface Recorder {
  send(method: string, path: string, ask?: { key?: string; cookie?: string; body?: unknown }): Promise<RecordedAnswer>;
  /** Reads a stream until it is stopped. */
  follow(path: string, key: string): () => Promise<void>;
  places: Place[];
}

const ID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;

export function createRecorder(url: string): Recorder {
  const places: Place[] = [];
  const keep = (name: string, text: string) =>
    places.push({ name: name.replaceAll(ID, "{id}").replace(/\?.*/, ""), bytes: Buffer.from(text) });
  return {
    places,
    async send(method, path, { key, cookie, body } = {}) {
      const response = await fetch(url + path, {
        method,
        headers: {
          // A scene between two requests may take longer than a connection is kept: none is used twice.
          connection: "close",
          ...(key !== undefined && { authorization: `Bearer ${key}` }),
          ...(cookie !== undefined && { cookie, origin: url }),
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(20_000),
      });
      const text = await response.text();
      const headers = [...response.headers].map((line) => line.join(": ")).join("\n");
      keep(`answer to ${method} ${path}`, `${headers}\n\n${text}`);
      const isJson = /json/.test(response.headers.get("content-type") ?? "");
      const cookies = response.headers.getSetCookie().map((line) => line.split(";")[0] ?? "");
      return {
        status: response.status,
        text,
        json: isJson ? ((JSON.parse(text) ?? {}) as Record<string, unknown>) : {},
        cookie: cookies.join("; "),
      };
    },
    follow(path, key) {
      const abort = new AbortController();
      let text = "";
      const reading = (async () => {
        const response = await fetch(url + path, {
          headers: { authorization: `Bearer ${key}` },
          signal: abort.signal,
        });
        for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
      })().catch((error: Error) => {
        if (error.name !== "AbortError") throw error;
      });
      return async () => {
        abort.abort();
        await reading;
        if (text === "") throw new Error(`${path}: the stream stayed empty`);
        keep(`stream of ${path}`, text);
      };
    },
  };
}
