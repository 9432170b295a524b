/** The scenes that are recorded: together they hold every frame of the protocol, and the ends that matter. */
import type { Director, Scene } from "./record.ts";

const connected = async (director: Director): Promise<void> => {
  await director.step({ do: "start agent" });
  await director.heard("control plane", "state");
};

const finished = (director: Director): Promise<void> => director.heard("agent", "result_ack");

const doAll = async (director: Director, kinds: readonly ("deploy" | "restart" | "stop" | "check" | "delete")[]) => {
  for (const kind of kinds) {
    await director.step({ do: kind, service: 0 });
    await finished(director);
    await director.waits(100);
  }
};

export const SCENES: readonly Scene[] = [
  {
    name: "life-of-a-service",
    async play(director) {
      await connected(director);
      await doAll(director, ["deploy", "check"]);
      await director.step({ do: "read log", service: 0, follow: false });
      await director.heard("control plane", "log_close");
      await director.step({ do: "end container" });
      await director.waits(1_000);
      await doAll(director, ["restart", "stop"]);
      await director.heard("agent", "heartbeat_ack");
      await doAll(director, ["delete"]);
    },
  },
  {
    name: "cancel",
    async play(director) {
      await connected(director);
      await director.step({ do: "deploy", service: 1 });
      await director.heard("control plane", "progress");
      await director.step({ do: "cancel", service: 1 });
      await finished(director);
    },
  },
  {
    name: "duplicate",
    async play(director) {
      await connected(director);
      await director.step({ do: "deploy", service: 0 });
      await director.heard("agent", "command");
      // The agent has it in its journal, and its acknowledgement is lost.
      director.cut();
      await director.ended("agent");
      await director.heard("agent", "command");
      await director.heard("control plane", "ack", ({ outcome }: { outcome: string }) => outcome === "duplicate");
      await finished(director);
    },
  },
  {
    name: "followed-log",
    async play(director) {
      await connected(director);
      await doAll(director, ["deploy"]);
      await director.step({ do: "read log", service: 0, follow: true });
      await director.waits(1_000);
      // By itself it comes after 128 KiB.
      director.inject("control plane", { type: "log_credit", data: { streamId: 1, bytes: 131_072 } });
      await director.heard("agent", "log_credit");
      director.cut();
      await director.ended("agent");
      await director.heard("agent", "welcome");
      await director.waits(100);
      await director.step({ do: "read log", service: 0, follow: true });
      await director.waits(1_000);
      await director.step({ do: "leave log" });
      await director.heard("agent", "log_close");
    },
  },
  {
    name: "superseded",
    async play(director) {
      await connected(director);
      director.cut(["agent"]);
      await director.ended("agent");
      await director.ended("control plane");
      await director.waits(100);
    },
  },
  {
    name: "removed",
    async play(director) {
      await connected(director);
      await director.step({ do: "remove server" });
      await director.ended("agent");
      await director.waits(100);
    },
  },
  {
    name: "drained",
    async play(director) {
      await connected(director);
      await director.step({ do: "stop control plane" });
      await director.ended("agent");
      await director.waits(100);
    },
  },
  {
    name: "rejected",
    async play(director) {
      await connected(director);
      await doAll(director, ["deploy"]);
      await director.step({ do: "kill agent" });
      await director.step({ do: "forget journal" });
      await director.step({ do: "start agent" });
      await director.heard("control plane", "state");
      await director.waits(1_000);
      await director.step({ do: "check", service: 0 });
      await director.heard("control plane", "ack", ({ outcome }: { outcome: string }) => outcome === "rejected");
      await director.waits(100);
    },
  },
  {
    name: "quarantine",
    async play(director) {
      await connected(director);
      await director.step({ do: "kill agent" });
      await director.waits(1_000);
      await director.step({ do: "restore old epoch" });
      await director.step({ do: "start agent" });
      await director.ended("agent");
      await director.waits(100);
    },
  },
  {
    name: "newer-frames",
    async play(director) {
      await connected(director);
      director.inject("control plane", { type: "dance", data: { tempo: 120 } });
      await director.heard("control plane", "error");
      director.inject("agent", { type: "dance", data: { tempo: 120 } });
      await director.heard("agent", "error");
      const operationId = "01998a00-0000-7000-9000-000000000001";
      director.inject("control plane", { type: "command", data: { kind: "polish", operationId, generation: 1 } });
      await director.heard("control plane", "ack", ({ outcome }: { outcome: string }) => outcome === "rejected");
      director.cut();
      await director.ended("agent");
      await director.heard("agent", "welcome");
      await director.heard("control plane", "state");
    },
  },
];
