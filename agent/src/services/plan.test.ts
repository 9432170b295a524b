import { expect, test } from "vitest";
import type { ContainerState, FoundContainer } from "../docker/docker.ts";
import type { VolumeRecord } from "../journal/journal.ts";
import type { Found } from "./look.ts";
import { LABEL } from "./naming.ts";
import { type Known, plan, type Wanted } from "./plan.ts";

const STAMP = { bootId: "b", monotonicMs: 0, wallMs: 0 };
const network = { id: "n", name: "env", labels: {}, subnets: ["10.218.0.0/26"], internal: true };

function container(
  part: { state?: ContainerState; hash?: string; operation?: string; generation?: number } = {},
): FoundContainer {
  const { state = "running", hash = "h1", operation = "op0", generation = 1 } = part;
  return {
    id: `c${generation}`,
    name: `name${generation}`,
    labels: { [LABEL.spec]: hash, [LABEL.operation]: operation, [LABEL.generation]: String(generation) },
    state,
    health: "none",
    imageId: "i",
    exitCode: 0,
    oomKilled: false,
    restartCount: 0,
    startedAt: "t1",
    networks: [{ id: "n" }],
  };
}

const found = (part: Partial<Found> = {}): Found => ({
  containers: [],
  image: undefined,
  volumes: [],
  network,
  jobs: [],
  outgoing: undefined,
  ...part,
});
const withVolume = (...containers: FoundContainer[]) => found({ containers, volumes: [{ name: "v", labels: {} }] });
const record = (part: Partial<VolumeRecord> = {}): Known => ({
  volumes: new Map([["v", { name: "v", serviceId: "s", createdBy: "op0", ...part }]]),
});
const NO_RECORD: Known = { volumes: new Map() };
const READY = { ready: { at: STAMP, identity: "77", major: 17 } };

const wanted = (kind: Wanted["kind"], part: Partial<Wanted> = {}): Wanted => ({
  kind,
  operationId: "op1",
  serviceId: "s",
  generation: 9,
  specHash: "h1",
  volume: "v",
  environmentId: "e",
  ...part,
});
const types = (...args: Parameters<typeof plan>) => plan(...args).map(({ type }) => type);
const START = ["ensure_network", "ensure_image"];
const PROOF = ["wait_ready", "check_identity", "keep_running"];

test("makes everything from nothing, and proves it before Docker may restart it", () => {
  expect(types(wanted("deploy"), found(), NO_RECORD)).toEqual([
    ...START,
    "ensure_volume",
    "create_container",
    "start_container",
    "wait_ready",
    "record_ready",
    "keep_running",
  ]);
});

test("wipes a volume that never became ready, with the container that was at it", () => {
  expect(types(wanted("deploy"), withVolume(container({ state: "exited", operation: "op1" })), record())).toEqual([
    ...START,
    "remove_container",
    "wipe_volume",
    "ensure_volume",
    "create_container",
    "start_container",
    "wait_ready",
    "record_ready",
    "keep_running",
  ]);
});

test("waits for its own container that is still initialising, and for nobody else's", () => {
  expect(types(wanted("deploy"), withVolume(container({ operation: "op1" })), record())).toEqual([
    "wait_ready",
    "record_ready",
    "keep_running",
  ]);
  expect(types(wanted("deploy"), withVolume(container({ operation: "op0" })), record())).toContain("wipe_volume");
});

test("finishes its own deploy that was interrupted after the database was ready", () => {
  const own = record({ createdBy: "op1", ...READY });
  expect(types(wanted("deploy"), withVolume(container({ operation: "op1" })), own)).toEqual(PROOF);
});

test("refuses to deploy where there may be data", () => {
  const refusedWith = (code: string) => expect.objectContaining({ code });
  expect(() => plan(wanted("deploy"), withVolume(), record(READY))).toThrow(refusedWith("already_deployed"));
  expect(() => plan(wanted("deploy"), withVolume(), NO_RECORD)).toThrow(refusedWith("already_deployed"));
  // A spec that names another volume must not pull a running database away from its own.
  expect(() => plan(wanted("deploy", { volume: "w" }), withVolume(container()), record(READY))).toThrow(
    refusedWith("already_deployed"),
  );
});

test("deploys again over what a failed deploy left, also when an earlier one had succeeded", () => {
  const service = { serviceId: "s", generation: 1, desired: "running", everDeployed: true, deleted: false } as const;
  const left = withVolume(container({ state: "exited", operation: "op0" }));
  expect(types(wanted("deploy"), left, { ...record(), service })).toContain("wipe_volume");
  expect(() => plan(wanted("deploy"), withVolume(container({ operation: "opX" })), { ...record(), service })).toThrow(
    expect.objectContaining({ code: "already_deployed" }),
  );
});

test("restarts by stopping and starting the same container", () => {
  expect(types(wanted("restart"), withVolume(container()), record(READY))).toEqual([
    "stop_container",
    "start_container",
    ...PROOF,
  ]);
  expect(types(wanted("restart"), withVolume(container({ state: "exited" })), record(READY))).toEqual([
    "start_container",
    ...PROOF,
  ]);
});

test("makes the container anew when its settings changed, it is gone, or its network is", () => {
  const anew = [...START, "remove_container", "create_container", "start_container", ...PROOF];
  expect(types(wanted("restart", { specHash: "h2" }), withVolume(container()), record(READY))).toEqual(anew);
  expect(types(wanted("restart"), { ...withVolume(container()), network: undefined }, record(READY))).toEqual(anew);
  expect(types(wanted("restart"), withVolume(), record(READY))).toEqual([
    ...START,
    "say",
    "create_container",
    "start_container",
    ...PROOF,
  ]);
});

test("takes a service with a way out through the outgoing network, and out of it when it is switched off", () => {
  const out = { id: "o", name: "out", labels: {}, subnets: ["10.218.0.64/26"], internal: false };
  const on = wanted("restart", { outgoing: true });
  const inside = container();
  const outside = { ...container(), networks: [{ id: "n" }, { id: "o" }] };
  const made = ["ensure_network", "ensure_outgoing", "ensure_image"];
  expect(types(wanted("deploy", { outgoing: true }), found(), NO_RECORD)).toEqual([
    ...made,
    ...["ensure_volume", "create_container", "join_outgoing", "start_container"],
    ...["wait_ready", "record_ready", "keep_running"],
  ]);
  const switchedOn = [...made, "remove_container", "create_container", "join_outgoing", "start_container", ...PROOF];
  expect(types({ ...on, specHash: "h2" }, withVolume(inside), record(READY))).toEqual(switchedOn);
  // Killed between creating and joining, or the network was removed by hand.
  expect(types(on, { ...withVolume(inside), outgoing: out }, record(READY))).toEqual(switchedOn);
  expect(types(on, { ...withVolume(outside), outgoing: undefined }, record(READY))).toEqual(switchedOn);
  expect(types(on, { ...withVolume(outside), outgoing: out }, record(READY))[0]).toBe("stop_container");

  const off = wanted("restart", { specHash: "h2" });
  expect(types(off, { ...withVolume(outside), outgoing: out }, record(READY))).toEqual([
    ...[...START, "remove_container", "leave_outgoing", "create_container", "start_container"],
    ...PROOF,
  ]);
  // Killed before it had left: its container tells nothing of it any more.
  expect(types(wanted("restart"), withVolume(inside), { ...record(READY), outgoing: true })[0]).toBe("leave_outgoing");
});

test("takes its container out of a network of an earlier version before it looks for a better one", () => {
  const open = { ...withVolume(container()), network: { ...network, internal: false } };
  expect(types(wanted("restart"), open, record(READY))).toEqual([
    ...["ensure_image", "remove_container", "ensure_network", "create_container", "start_container"],
    ...PROOF,
  ]);
});

test("does not restart what this operation has restarted already", () => {
  const again = wanted("restart", { startedBefore: "t0" });
  expect(types(again, withVolume(container()), record(READY))).toEqual(PROOF);
  expect(types({ ...again, startedBefore: "t1" }, withVolume(container()), record(READY))[0]).toBe("stop_container");
});

test("expects the recorded identity, and none where there is no record", () => {
  const check = (known: Known) =>
    plan(wanted("restart"), withVolume(container()), known).find(({ type }) => type === "check_identity");
  expect(check(record(READY))).toMatchObject({ expected: "77" });
  expect(check(NO_RECORD)).not.toHaveProperty("expected");
});

test("starts nothing without its volume, or over one that never became ready", () => {
  expect(() => plan(wanted("restart"), found(), record(READY))).toThrow(
    expect.objectContaining({ code: "volume_missing" }),
  );
  expect(() => plan(wanted("restart"), withVolume(), record())).toThrow(
    expect.objectContaining({ code: "not_deployed" }),
  );
});

test("stops what runs and says so of what does not", () => {
  expect(types(wanted("stop"), withVolume(container()), NO_RECORD)).toEqual(["stop_container"]);
  expect(types(wanted("stop"), withVolume(container({ state: "exited" })), NO_RECORD)).toEqual(["say", "stay_stopped"]);
  expect(types(wanted("stop"), found(), NO_RECORD)).toEqual(["say"]);
});

test("deletes data only when told to, and takes what is absent for done", () => {
  const all = withVolume(container());
  expect(types(wanted("delete", { deleteData: false }), all, NO_RECORD)).toEqual([
    "remove_container",
    "say",
    "release_network",
  ]);
  expect(types(wanted("delete", { deleteData: true }), all, NO_RECORD)).toEqual([
    "remove_container",
    "remove_volume",
    "remove_secrets",
    "release_network",
  ]);
  expect(types(wanted("delete", { deleteData: true }), found(), NO_RECORD)).toEqual([
    "say",
    "say",
    "remove_secrets",
    "release_network",
  ]);
});
