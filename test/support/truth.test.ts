/** Each kind of lie is caught, by the words of the sentence that says it; the truth is not. */
import { describe, expect, it } from "vitest";
import { type ContainerFacts, compare, type Facts, type OperationFacts, type ServiceFacts } from "./truth-rules.ts";

function deploy(part: Partial<OperationFacts> = {}): OperationFacts {
  return {
    id: "op-1",
    kind: "deploy",
    plane: { state: "succeeded", generation: 1, ended: true, started: true, sent: true },
    api: { state: "succeeded", ended: true, lastedMs: 5, lineCount: 3, numbers: [0, 1, 2], complete: true },
    journal: { outcome: "succeeded", lineCount: 3, acknowledged: true },
    saysLeftover: false,
    deletesData: false,
    ...part,
  };
}

/** The same end from all witnesses. */
function ended(state: "failed" | "unknown" | "expired", part: Partial<OperationFacts> = {}): OperationFacts {
  return deploy({
    plane: { state, generation: 1, ended: true, started: true, sent: true },
    api: { state, ended: true, lastedMs: 5, lineCount: 3, numbers: [0, 1, 2], complete: true },
    journal: { outcome: state, lineCount: 3, acknowledged: true },
    ...part,
  });
}

function container(part: Partial<ContainerFacts> = {}): ContainerFacts {
  return {
    id: "c1",
    name: "dflow-s-1",
    serviceId: "s",
    environmentId: "e",
    generation: 1,
    operationId: "op-1",
    state: "running",
    health: "healthy",
    restartPolicy: "unless-stopped",
    startedAt: "2026-01-01T00:00:00Z",
    address: "10.0.0.2",
    ...part,
  };
}

const SHOWN = {
  state: "running",
  desired: "running",
  evidence: "container running, health check passes",
  volume: "present",
  containerId: "c1",
  openOperation: undefined,
} as const;
const PLANE = { desired: "running", generation: 1, everDeployed: true, deleted: false, inOutbox: 0 };
const JOURNAL = { desired: "running", generation: 1, everDeployed: true, deleted: false, address: "10.0.0.2" };
const VOLUME = { name: "v", journal: "ready" } as const;

function running(part: Partial<ServiceFacts> = {}): ServiceFacts {
  return {
    id: "s",
    name: "db",
    environmentId: "e",
    api: SHOWN,
    plane: PLANE,
    journal: JOURNAL,
    operations: [deploy()],
    makers: [{ id: "op-1", kind: "deploy", generation: 1, state: "succeeded" }],
    foreign: [],
    containers: [container()],
    volumes: [VOLUME],
    ...part,
  };
}

function stopped(part: Partial<ServiceFacts> = {}): ServiceFacts {
  return running({
    api: { ...SHOWN, state: "stopped", desired: "stopped", evidence: "container exited with code 0" },
    plane: { ...PLANE, desired: "stopped" },
    journal: { ...JOURNAL, desired: "stopped" },
    containers: [container({ state: "exited", health: "unhealthy" })],
    ...part,
  });
}

function failed(part: Partial<ServiceFacts> = {}): ServiceFacts {
  return running({
    api: { ...SHOWN, state: "not_deployed", evidence: "no container", volume: "absent", containerId: undefined },
    plane: { ...PLANE, everDeployed: false },
    journal: { ...JOURNAL, desired: "absent", everDeployed: false, address: undefined },
    operations: [ended("failed")],
    makers: [{ id: "op-1", kind: "deploy", generation: 1, state: "failed" }],
    containers: [],
    volumes: [],
    ...part,
  });
}

function deleted(part: Partial<ServiceFacts> = {}): ServiceFacts {
  return running({
    api: undefined,
    plane: { ...PLANE, desired: "absent", deleted: true },
    journal: { ...JOURNAL, desired: "absent", deleted: true, address: undefined },
    operations: [deploy({ kind: "delete", api: undefined, deletesData: true })],
    containers: [],
    volumes: [],
    ...part,
  });
}

function facts(...services: ServiceFacts[]): Facts {
  return { silent: [], services, networks: [{ name: "dflow-env-e", services: 1 }], jobs: [], strays: [] };
}

const NEVER_SENT = running({
  api: { ...SHOWN, state: "not_deployed", desired: "stopped", volume: "unknown", containerId: undefined },
  plane: { ...PLANE, desired: "stopped", generation: 0, everDeployed: false },
  journal: undefined,
  operations: [],
  makers: [],
  containers: [],
  volumes: [],
});

describe("what agrees", () => {
  const TRUTHS: [what: string, service: ServiceFacts][] = [
    ["a database that runs", running()],
    ["one that was stopped", stopped()],
    [
      "one that was stopped and that Docker is told not to start",
      stopped({ containers: [container({ state: "exited", restartPolicy: "no" })] }),
    ],
    ["one that was never deployed", NEVER_SENT],
    ["a deploy that failed and left nothing", failed()],
    [
      "one whose deletion failed halfway, and whose restart then found nothing to start",
      running({
        api: { ...SHOWN, state: "missing", desired: "absent", volume: "absent", containerId: undefined },
        plane: { ...PLANE, desired: "absent", generation: 3 },
        journal: { ...JOURNAL, desired: "stopped", generation: 3, address: undefined },
        operations: [
          deploy(),
          ended("failed", {
            id: "op-2",
            kind: "delete",
            plane: { state: "failed", generation: 2, ended: true, started: true, sent: true },
          }),
          ended("failed", {
            id: "op-3",
            kind: "restart",
            plane: { state: "failed", generation: 3, ended: true, started: false, sent: true },
          }),
        ],
        containers: [],
        volumes: [],
      }),
    ],
    ["a deleted one", deleted()],
    [
      "a deleted one whose data was kept",
      deleted({ operations: [deploy({ kind: "delete", api: undefined })], volumes: [VOLUME] }),
    ],
    [
      "a container that crashed and is shown as exited",
      running({ api: { ...SHOWN, state: "exited" }, containers: [container({ state: "exited" })] }),
    ],
    [
      "a command that the agent refused",
      failed({
        operations: [
          ended("failed", {
            journal: undefined,
            plane: { state: "failed", generation: 1, ended: true, started: false, sent: true },
          }),
        ],
      }),
    ],
    [
      "what a failed deploy could not remove and says so",
      failed({
        operations: [ended("failed", { saysLeftover: true })],
        api: { ...SHOWN, state: "exited" },
        journal: { ...JOURNAL, desired: "absent", everDeployed: false },
        containers: [container({ state: "created" })],
        volumes: [{ name: "v", journal: "unfinished" }],
      }),
    ],
  ];
  it.each(TRUTHS)("%s", (_what, service) => {
    expect(compare(facts(service))).toEqual([]);
  });

  it("is also an operation that may have ended as unknown", () => {
    const service = running({ operations: [deploy(), ended("unknown", { id: "op-2", kind: "restart" })] });
    expect(compare(facts(service), { unknown: ["op-2"] })).toEqual([]);
    expect(compare(facts(service)).map(({ sentence }) => sentence)).toEqual([
      "db (s): restart op-2: it ended as unknown",
    ]);
  });
});

it("lets an acknowledgement be missing only where the agent's disk was full", () => {
  const result = { outcome: "succeeded", lineCount: 3, acknowledged: false };
  const service = running({ operations: [deploy({ journal: result })] });
  expect(compare(facts(service), { unacknowledged: true })).toEqual([]);
  expect(compare(facts(service))).toHaveLength(1);
});

describe("a lie", () => {
  const two = [container(), container({ id: "c2", name: "dflow-s-0" })];
  const api = (part: Partial<NonNullable<OperationFacts["api"]>>) => {
    const whole = {
      state: "succeeded" as const,
      ended: true,
      lastedMs: 5,
      lineCount: 3,
      numbers: [0, 1, 2],
      complete: true,
      ...part,
    };
    return running({ operations: [deploy({ api: whole })] });
  };
  const LIES: [what: string, service: ServiceFacts, says: RegExp][] = [
    [
      "an operation that never ends",
      running({
        operations: [deploy({ plane: { state: "running", generation: 1, ended: false, started: true, sent: true } })],
      }),
      /control plane says running, and nothing goes on/,
    ],
    [
      "a success that the journal calls a failure",
      running({ operations: [deploy({ journal: { outcome: "failed", lineCount: 3, acknowledged: true } })] }),
      /control plane says succeeded, the journal says failed/,
    ],
    [
      "an end that the journal has not reached",
      running({ operations: [deploy({ journal: { outcome: undefined, lineCount: 3, acknowledged: true } })] }),
      /journal says that it is not over/,
    ],
    [
      "a success that no journal knows",
      running({ operations: [deploy({ journal: undefined })] }),
      /journal has no such operation/,
    ],
    [
      "a result that goes out for ever",
      running({ operations: [deploy({ journal: { outcome: "succeeded", lineCount: 3, acknowledged: false } })] }),
      /lacks its acknowledgement/,
    ],
    ["an operation that nobody gave", running({ foreign: ["op-9"] }), /never gave it/],
    [
      "an API that contradicts its own file",
      api({ state: "failed" }),
      /API says failed, the control plane's file says succeeded/,
    ],
    ["an end before its beginning", api({ lastedMs: -7 }), /ended 7 ms before it began/],
    ["a gap in a log", api({ numbers: [0, 2, 3] }), /log's lines 0, 2-3, not from 0/],
    ["a line that comes twice", api({ numbers: [0, 1, 1] }), /log's lines 0-1, 1, not/],
    ["a log that is never complete", api({ complete: false }), /log is not complete/],
    ["a log with fewer lines than counted", api({ lineCount: 4 }), /counts 4 log lines and gives 3/],
    ["lines that did not arrive", api({ lineCount: 2, numbers: [0, 1] }), /gives 2 log lines, the journal counted 3/],
    ["running without a container", running({ containers: [] }), /API says running, Docker has no container/],
    [
      "running over a dead container",
      running({ containers: [container({ state: "exited" })] }),
      /API says running, Docker has a container that is exited/,
    ],
    [
      "running over an unhealthy one",
      running({ containers: [container({ health: "unhealthy" })] }),
      /Docker has a container that is running \(unhealthy\)/,
    ],
    [
      "stopped over a running container",
      stopped({ containers: [container()] }),
      /API says stopped, Docker has a container that is running/,
    ],
    [
      "stopped over one that Docker starts again",
      stopped({ containers: [container({ state: "restarting" })] }),
      /API says stopped, Docker has a container that is restarting/,
    ],
    [
      "stopped though running is wanted",
      stopped({ api: { ...SHOWN, state: "stopped" } }),
      /API says stopped, and wanted running/,
    ],
    [
      "missing over a container",
      running({ api: { ...SHOWN, state: "missing" } }),
      /API says missing, Docker has a container/,
    ],
    [
      "not deployed over a volume",
      failed({ volumes: [VOLUME] }),
      /API says not_deployed, Docker has no container and 1 volume/,
    ],
    [
      "unknown at rest",
      running({ api: { ...SHOWN, state: "unknown" } }),
      /API says unknown, Docker has a container that is running/,
    ],
    ["unreachable at rest", running({ api: { ...SHOWN, state: "unreachable" } }), /API says unreachable/],
    [
      "an operation that is shown as open for ever",
      running({ api: { ...SHOWN, openOperation: "op-1" } }),
      /shows operation op-1 as open/,
    ],
    [
      "another container than Docker has",
      running({ api: { ...SHOWN, containerId: "c0" } }),
      /saw container c0, Docker has c1/,
    ],
    ["a volume that is not there", running({ volumes: [] }), /its volume is present, Docker says absent/],
    ["two containers of one service", running({ containers: two }), /Docker has 2 containers/],
    [
      "a container of a generation that nobody asked for",
      running({ containers: [container({ generation: 7 })] }),
      /of generation 7 by op-1, the control plane has no such/,
    ],
    [
      "a container of a deploy that failed",
      running({ makers: [{ id: "op-1", kind: "deploy", generation: 1, state: "failed" }] }),
      /the deploy that made it ended as failed/,
    ],
    [
      "a running database that Docker would not bring back",
      running({ containers: [container({ restartPolicy: "no" })] }),
      /would not bring it back/,
    ],
    [
      "a stopped one that Docker would bring back",
      stopped({ containers: [container({ state: "exited", restartPolicy: "always" })] }),
      /would bring it back/,
    ],
    [
      "an address that the journal does not have",
      running({ containers: [container({ address: "10.0.0.9" })] }),
      /address 10\.0\.0\.9, the journal 10\.0\.0\.2/,
    ],
    [
      "a half-made volume",
      failed({ volumes: [{ name: "v", journal: "unfinished" }] }),
      /volume v, which never became ready/,
    ],
    [
      "a volume that nothing is written down of",
      running({ volumes: [{ name: "v", journal: "unrecorded" }] }),
      /journal has no record/,
    ],
    ["a command that still waits", running({ plane: { ...PLANE, inOutbox: 1 } }), /still has 1 command/],
    [
      "a service that only one side has deleted",
      deleted({ journal: { ...JOURNAL, desired: "absent" } }),
      /says deleted, the journal the opposite/,
    ],
    [
      "a deleted service that still runs",
      deleted({ containers: [container()] }),
      /API has no such service, Docker has dflow-s-1/,
    ],
    ["deleted data that is still there", deleted({ volumes: [VOLUME] }), /its data was deleted, Docker has v/],
    ["a service that vanished from the API", running({ api: undefined }), /control plane's file has it/],
    [
      "a deployed one that the journal calls new",
      running({ journal: { ...JOURNAL, everDeployed: false } }),
      /says deployed, the journal the opposite/,
    ],
    ["a deployed one that the journal has lost", running({ journal: undefined }), /the journal does not know it/],
    ["a journal from the future", running({ journal: { ...JOURNAL, generation: 2 } }), /journal is at generation 2/],
    [
      "a wish that the agent does not share",
      running({ journal: { ...JOURNAL, desired: "stopped" } }),
      /wants it running, the journal stopped/,
    ],
  ];
  it.each(LIES)("%s", (_what, service, says) => {
    expect(compare(facts(service)).map(({ sentence }) => sentence)).toContainEqual(expect.stringMatching(says));
  });

  it("is also a network that nobody is in, an object that nobody knows, and a witness that is silent", () => {
    const all = compare({
      silent: ["Docker does not answer"],
      services: [],
      networks: [{ name: "dflow-env-e", services: 0 }],
      jobs: ["dflow-job-x"],
      strays: ["dflow-x-1"],
    });
    expect(all.map(({ sentence }) => sentence)).toEqual([
      "Docker does not answer",
      "Docker has dflow-x-1, and the control plane has no such service",
      "Docker has job container dflow-job-x, and nothing goes on any more",
      "Docker has network dflow-env-e, and no service is left in it",
    ]);
  });
});
