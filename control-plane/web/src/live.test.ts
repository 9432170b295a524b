/** From hints to refetches, and how fresh the screen says it is. */
import type { Event } from "@dflow/protocol";
import { QueryClient } from "@tanstack/react-query";
import { describe, expect, it, vi } from "vitest";
import { keys } from "./keys.ts";
import { createLive, keysOfHint } from "./live.ts";
import { type LiveMessage, startLiveLink } from "./live-link.ts";

const hint = (type: Event["type"], parents: Partial<Event> = {}): Event => ({
  type,
  id: "it",
  revision: 1,
  ...parents,
});

describe("what a hint makes stale", () => {
  it("asks again for the service, its operations and the list it stands in", () => {
    expect(keysOfHint(hint("service", { environmentId: "e" }))).toEqual([
      keys.service("it"),
      keys.operationsOf("it"),
      keys.environmentServices("e"),
      keys.environment("e"),
    ]);
  });

  it("asks again for every list of services when the hint does not say which", () => {
    expect(keysOfHint(hint("service"))).toContainEqual(keys.allEnvironmentServices);
  });

  it("takes an operation for a change of its service", () => {
    expect(keysOfHint(hint("operation", { serviceId: "s", environmentId: "e" }))).toEqual([
      keys.operation("it"),
      keys.operationsOf("s"),
      keys.service("s"),
      keys.environmentServices("e"),
    ]);
  });

  it("takes a server's link for a change of everything that runs there", () => {
    expect(keysOfHint(hint("server"))).toEqual(expect.arrayContaining([keys.allServices, keys.server("it")]));
  });

  it("leaves growing logs to their own streams", () => {
    expect(keysOfHint(hint("operation_log"))).toEqual([]);
  });

  it("does not take a list for an item: their keys begin with different words", () => {
    expect(keys.allServers[0]).not.toBe(keys.server("x")[0]);
    expect(keys.allServices[0]).not.toBe(keys.allEnvironmentServices[0]);
  });
});

function setUp() {
  const queryClient = new QueryClient();
  const asked = vi.spyOn(queryClient, "invalidateQueries").mockResolvedValue();
  let say: (message: LiveMessage) => void = () => undefined;
  const live = createLive(queryClient, (_workspaceId, onMessage) => {
    say = onMessage;
    return () => undefined;
  });
  live.follow("w");
  return { live, asked, say: (message: LiveMessage) => say(message) };
}

describe("the screen's freshness", () => {
  it("asks once for a burst of hints about the same things", async () => {
    const { asked, say } = setUp();
    for (let i = 0; i < 5; i += 1) say({ type: "hint", event: hint("service", { environmentId: "e" }) });
    await vi.waitFor(() => expect(asked).toHaveBeenCalledTimes(4));
  });

  it("asks for everything after a reset, and says so meanwhile", async () => {
    const { live, asked, say } = setUp();
    let done: () => void = () => undefined;
    asked.mockReturnValue(new Promise<void>((resolve) => (done = resolve)));
    say({ type: "status", status: { state: "live" } });
    say({ type: "reset" });
    expect(live.status()).toEqual({ state: "catching_up" });
    expect(asked).toHaveBeenCalledWith();
    done();
    await vi.waitFor(() => expect(live.status()).toEqual({ state: "live" }));
  });

  it("says since when nothing is heard", () => {
    const { live, say } = setUp();
    say({ type: "status", status: { state: "offline", sinceMs: 42 } });
    expect(live.status()).toEqual({ state: "offline", sinceMs: 42 });
  });
});

/** A server that answers each connection as the list says, and then hangs. */
function server(answers: (string | number | "cut")[]) {
  const cursors: (string | null)[] = [];
  const fetching: typeof fetch = async (_url, init) => {
    cursors.push(new Headers(init?.headers).get("last-event-id"));
    const next = answers.shift();
    if (next === "cut") throw new TypeError("fetch failed");
    if (typeof next === "number") return new Response("{}", { status: next });
    if (next !== undefined) return new Response(next);
    return new Response(
      new ReadableStream({
        start: (controller) => init?.signal?.addEventListener("abort", () => controller.error(init.signal?.reason)),
      }),
    );
  };
  return { cursors, fetching };
}

describe("the link", () => {
  const start = (answers: (string | number | "cut")[]) => {
    const { cursors, fetching } = server(answers);
    const messages: LiveMessage[] = [];
    const stop = startLiveLink({
      url: "/events",
      onMessage: (message) => messages.push(message),
      now: () => 7,
      random: () => 0,
      fetch: fetching,
      backoff: { baseMs: 1, capMs: 1 },
    });
    const states = () => messages.flatMap((m) => (m.type === "status" ? [m.status.state] : []));
    return { cursors, messages, stop, states };
  };

  it("comes back after a cut where it stopped, and has everything asked again", async () => {
    const { cursors, messages, stop, states } = start(['id: e.3\nevent: hint\ndata: {"id":"it"}\n\n', "cut", 503]);
    await vi.waitFor(() => expect(states().at(-1)).toBe("live"));
    await vi.waitFor(() => expect(cursors).toEqual([null, "e.3", "e.3", "e.3"]));
    expect(states().filter((state) => state === "offline").length).toBe(3);
    expect(messages.filter(({ type }) => type === "reset").length).toBe(1);
    stop();
  });

  it("keeps the first moment of an outage while it lasts", async () => {
    const { messages, stop, states } = start(["cut", "cut"]);
    await vi.waitFor(() => expect(states().at(-1)).toBe("live"));
    const since = messages.flatMap((m) =>
      m.type === "status" && m.status.state === "offline" ? [m.status.sinceMs] : [],
    );
    expect(since).toEqual([7, 7]);
    stop();
  });

  it("stops when the session has ended", async () => {
    const { cursors, states } = start([401]);
    await vi.waitFor(() => expect(states().at(-1)).toBe("signed_out"));
    expect(cursors.length).toBe(1);
  });
});
