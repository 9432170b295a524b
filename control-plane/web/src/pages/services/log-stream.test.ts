/** What a container log's stream means. */
import { describe, expect, it } from "vitest";
import { StreamRefused } from "../../sse.ts";
import { afterStream, lineOf, newsOf } from "./log-stream.ts";

const refused = (status: number, code: string) => new StreamRefused(status, { status, code, detail: "Because." });

describe("an event", () => {
  it("is a line, marked when it was written to stderr", () => {
    const data = JSON.stringify({
      at: "2026-11-23T12:00:00.000000001Z",
      stream: "stderr",
      text: "LOG: \u001b[1mready",
    });
    expect(lineOf({ event: "line", data })).toEqual({
      at: "2026-11-23T12:00:00.000000001Z",
      tone: "stderr",
      text: "LOG: ready",
    });
  });

  it("says where lines were lost", () => {
    expect(lineOf({ event: "gap", data: "{}" })?.text).toContain("lost here");
  });

  it("is no line when it is about the stream itself", () => {
    expect(lineOf({ event: "state", data: '{"text":"x"}' })).toBeUndefined();
    expect(newsOf({ event: "state", data: '{"text":"x"}' })).toEqual({ lost: "x" });
  });
});

describe("after the stream stopped", () => {
  it("reads on after a cut", () => {
    expect(afterStream({}, new TypeError("network error"))).toMatchObject({ again: true });
    expect(afterStream({}, undefined)).toMatchObject({ again: true });
  });

  it("reads on when the server was lost, in its words, and while it stays away", () => {
    expect(afterStream({ lost: "Lost." }, undefined)).toEqual({
      connection: { state: "waiting", words: "Lost." },
      again: true,
    });
    expect(afterStream({}, refused(409, "server_unreachable"))).toEqual({
      connection: { state: "waiting", words: "Because." },
      again: true,
    });
  });

  it("leaves it when the container has ended", () => {
    expect(afterStream({ end: { reason: "ended" } }, undefined)).toMatchObject({
      connection: { state: "ended" },
      again: false,
    });
  });

  it("tells why a log failed", () => {
    expect(afterStream({ end: { reason: "failed", detail: "No such container." } }, undefined).connection).toEqual({
      state: "ended",
      words: "No such container.",
    });
  });

  it("leaves a refusal to the reader, and takes a broken answer for a cut", () => {
    expect(afterStream({}, refused(403, "forbidden"))).toMatchObject({
      connection: { state: "refused" },
      again: false,
    });
    expect(afterStream({}, refused(502, "internal"))).toMatchObject({ again: true });
  });
});
