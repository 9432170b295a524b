/** Reading server-sent events over fetch. */
import { describe, expect, it } from "vitest";
import { createSseParser, readSse, type SseEvent, StreamRefused } from "./sse.ts";

describe("the parser", () => {
  it("gives each event once its empty line is there, wherever the text was cut", () => {
    const text = 'id: 7\nevent: hint\ndata: {"a":1}\n\n: keep-alive\n\ndata: x\ndata: y\n\n';
    for (let cut = 0; cut <= text.length; cut += 1) {
      const parse = createSseParser();
      expect([...parse(text.slice(0, cut)), ...parse(text.slice(cut))]).toEqual([
        { id: "7", event: "hint", data: '{"a":1}' },
        { id: undefined, event: "message", data: "x\ny" },
      ]);
    }
  });

  it("takes every kind of line end, also one that is cut in half", () => {
    const parse = createSseParser();
    expect([...parse("data: 1\r"), ...parse("\n\r\n"), ...parse("data: 2\r\rdata: 3\n\n")].map((e) => e.data)).toEqual([
      "1",
      "2",
      "3",
    ]);
  });

  it("keeps colons and spaces of the data", () => {
    expect(createSseParser()("data:  a: b \n\n")[0]?.data).toBe(" a: b ");
  });
});

function answer(chunks: string[], init: ResponseInit = {}): typeof fetch {
  return async () =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
          controller.close();
        },
      }),
      init,
    );
}

describe("reading", () => {
  const stop = new AbortController();

  it("hands over events and resolves when the server ends the stream", async () => {
    const events: SseEvent[] = [];
    await readSse({
      url: "/x",
      signal: stop.signal,
      silenceMs: 1_000,
      onEvent: (event) => events.push(event),
      fetch: answer(["data: 1\n", "\ndata: 2\n\n"]),
    });
    expect(events.map(({ data }) => data)).toEqual(["1", "2"]);
  });

  it("sends the cursor to resume from", async () => {
    let sent: Headers | undefined;
    await readSse({
      url: "/x",
      lastEventId: "e.41",
      signal: stop.signal,
      silenceMs: 1_000,
      onEvent: () => undefined,
      fetch: async (url, init) => {
        sent = new Headers(init?.headers);
        return answer([])(url, init);
      },
    });
    expect(sent?.get("last-event-id")).toBe("e.41");
  });

  it("rejects with status and problem document when it is refused", async () => {
    const refused = readSse({
      url: "/x",
      signal: stop.signal,
      silenceMs: 1_000,
      onEvent: () => undefined,
      fetch: answer(['{"code":"log_unavailable"}'], { status: 409 }),
    });
    await expect(refused).rejects.toMatchObject({ status: 409, body: { code: "log_unavailable" } });
    await expect(refused).rejects.toBeInstanceOf(StreamRefused);
  });

  it("gives up on a connection that went silent", async () => {
    const silent: typeof fetch = async (_url, init) => {
      const body = new ReadableStream({
        start: (controller) => init?.signal?.addEventListener("abort", () => controller.error(init.signal?.reason)),
      });
      return new Response(body);
    };
    const reading = readSse({
      url: "/x",
      signal: stop.signal,
      silenceMs: 20,
      onEvent: () => undefined,
      fetch: silent,
    });
    await expect(reading).rejects.toThrow("went silent");
  });
});
