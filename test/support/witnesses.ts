/** Asks the four witnesses of a service what they know of it: the API, the control plane's file, the journal, Docker. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type Operation, type Service, TERMINAL_OPERATION_STATES } from "@dflow/protocol";
import type { NetworkRecord, OperationRecord, ServiceRecord, VolumeRecord } from "../../agent/src/journal/journal.ts";
import { isJob, LABEL } from "../../agent/src/services/naming.ts";
import { tryDocker } from "./docker-engine.ts";
import type { Product } from "./product.ts";
import { readSqlite } from "./read-sqlite.ts";
import type { ContainerFacts, Facts, OperationFacts, ServiceFacts } from "./truth-rules.ts";

export type Witnessed = Pick<Product, "ask" | "home" | "serverId" | "dockerEnv">;

export interface Scope {
  serviceIds: readonly string[];
  /** Of operations that began before this moment neither state nor log is asked for again. */
  sinceMs?: number;
}

type Row = Record<string, unknown>;

/** Lines of an operation's log that own up to something that was left behind. */
const LEFTOVER = /^Could not clean up/;

export async function gather(product: Witnessed, scope: Scope): Promise<Facts> {
  const silent: string[] = [];
  const ask = async <T>(who: string, work: () => Promise<T> | T): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
      silent.push(`${who} does not answer: ${error instanceof Error ? error.message : String(error)}${cause}`);
      return undefined;
    }
  };
  // The API first: what it says has to be true of what the others show a moment later.
  const api = await ask("the API", () => askApi(product, scope));
  const plane = await ask("the control plane's file", () => readPlane(product, scope));
  const journal = await ask("the journal", () => readJournal(join(product.home, "agent/journal.db")));
  const docker = await ask("Docker", () => askDocker(product));
  if (api === undefined || plane === undefined || journal === undefined || docker === undefined) {
    return { silent, services: [], networks: [], jobs: [], strays: [] };
  }
  const services = plane.services
    .filter(({ id }) => scope.serviceIds.includes(String(id)))
    .map((row) => serviceFacts(row, api, plane, journal, docker));
  const living = new Set(plane.services.filter((row) => row.deleted_at === null).map(({ id }) => String(id)));
  const known = new Set(plane.services.map(({ id }) => String(id)));
  const inUse = [...docker.containers, ...docker.volumes].filter(({ serviceId }) => living.has(serviceId));
  return {
    silent: [...silent, ...journal.damaged],
    services,
    networks: docker.networks.map(({ name, environmentId }) => ({
      name,
      services: inUse.filter((one) => one.environmentId === environmentId).length,
    })),
    jobs: docker.jobs,
    strays: [...docker.containers, ...docker.volumes]
      .filter(({ serviceId }) => !known.has(serviceId))
      .map(({ name }) => name),
  };
}

interface ApiAnswers {
  services: Map<string, Service>;
  operations: Map<string, { operation: Operation; numbers: number[]; texts: string[]; complete: boolean }>;
}

async function askApi({ ask }: Witnessed, { serviceIds, sinceMs = 0 }: Scope): Promise<ApiAnswers> {
  const answers: ApiAnswers = { services: new Map(), operations: new Map() };
  const get = async <T>(path: string): Promise<T | undefined> => {
    const { status, body } = await ask<T>("GET", path);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  for (const id of serviceIds) {
    const service = await get<Service>(`/services/${id}`);
    if (service === undefined) continue;
    answers.services.set(id, service);
    const { items } = (await get<{ items: Operation[] }>(`/services/${id}/operations?limit=200`)) ?? { items: [] };
    for (const operation of items.filter(({ createdAt }) => Date.parse(createdAt) >= sinceMs)) {
      const log = await readLog(get, operation.id);
      answers.operations.set(operation.id, { operation, ...log });
    }
  }
  return answers;
}

/** Page by page, until it says that there is no more. */
async function readLog(get: <T>(path: string) => Promise<T | undefined>, id: string) {
  const numbers: number[] = [];
  const texts: string[] = [];
  for (let after = 0; ; ) {
    const page = await get<{ lines: { n: number; text: string }[]; next: number; complete: boolean }>(
      `/operations/${id}/log?after=${after}`,
    );
    if (page === undefined) return { numbers, texts, complete: false };
    numbers.push(...page.lines.map(({ n }) => n));
    texts.push(...page.lines.map(({ text }) => text));
    if (page.complete || page.lines.length === 0) return { numbers, texts, complete: page.complete };
    after = page.next;
  }
}

type Plane = ReturnType<typeof readPlane>;

function readPlane({ home }: Witnessed, { sinceMs = 0 }: Scope) {
  return readSqlite(join(home, "control-plane/control-plane.sqlite"), (all) => ({
    services: all("SELECT * FROM service"),
    operations: all("SELECT * FROM operation WHERE created_at >= ? ORDER BY created_at, id", sinceMs),
    everyOperation: all("SELECT id, service_id, kind, generation, state FROM operation"),
    outbox: all("SELECT service_id FROM outbox"),
  }));
}

type JournalRows = ReturnType<typeof readJournal>;

function readJournal(path: string) {
  const damaged: string[] = [];
  return readSqlite(path, (all) => {
    const read = <T>(table: string): T[] =>
      all(`SELECT id, body, sha256 FROM ${table}`).flatMap(({ id, body, sha256 }) => {
        const isWhole = createHash("sha256").update(String(body)).digest("hex") === sha256;
        if (!isWhole) damaged.push(`the journal's row ${String(id)} of ${table} does not match its checksum`);
        return isWhole ? [JSON.parse(String(body)) as T] : [];
      });
    return {
      operations: new Map(read<OperationRecord>("operations").map((one) => [one.operationId, one])),
      services: new Map(read<ServiceRecord>("services").map((one) => [one.serviceId, one])),
      volumes: new Map(read<VolumeRecord>("volumes").map((one) => [one.name, one])),
      networks: new Map(read<NetworkRecord>("networks").map((one) => [one.environmentId, one])),
      damaged,
    };
  });
}

interface Labelled {
  name: string;
  serviceId: string;
  environmentId: string;
}

interface Shown {
  containers: ContainerFacts[];
  /** Names of job containers. */
  jobs: string[];
  volumes: Labelled[];
  networks: Labelled[];
}

async function askDocker({ serverId, dockerEnv }: Witnessed): Promise<Shown> {
  const run = async (args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryDocker(args, { env: dockerEnv, deadlineMs: 20_000 });
    // What was removed between the list and the look is no failure of the witness.
    if (code !== 0 && !/No such|not found/i.test(stderr)) throw new Error(`docker ${args[0]}: ${stderr.trim()}`);
    return stdout;
  };
  const inspected = async (kind: "container" | "volume" | "network", all: string[]): Promise<Row[]> => {
    const list = await run([kind, "ls", "--quiet", ...all, "--filter", `label=${LABEL.agent}=${serverId}`]);
    const ids = list.split("\n").filter((id) => id !== "");
    return ids.length === 0 ? [] : (JSON.parse(await run([kind, "inspect", ...ids])) as Row[]);
  };
  const [containers, volumes, networks] = await Promise.all([
    inspected("container", ["--all"]),
    inspected("volume", []),
    inspected("network", []),
  ]);
  const labelsOf = (row: Row) => ({ labels: (row as unknown as Inspected).Config.Labels });
  return {
    containers: containers.filter((row) => !isJob(labelsOf(row))).map(containerFacts),
    jobs: containers.filter((row) => isJob(labelsOf(row))).map(({ Name }) => String(Name).replace(/^\//, "")),
    volumes: volumes.map((row) => labelled(String(row.Name), row.Labels)),
    networks: networks.map((row) => labelled(String(row.Name), row.Labels)),
  };
}

function labelled(name: string, labels: unknown): Labelled {
  const map = (labels ?? {}) as Record<string, string>;
  return { name, serviceId: map[LABEL.service] ?? "", environmentId: map[LABEL.environment] ?? "" };
}

interface Inspected {
  Id: string;
  Name: string;
  Config: { Labels: Record<string, string> };
  State: { Status: string; StartedAt: string; Health?: { Status: string } };
  HostConfig: { RestartPolicy: { Name: string } };
  NetworkSettings: { Networks: Record<string, { IPAMConfig: { IPv4Address?: string } | null }> };
}

function containerFacts(row: Row): ContainerFacts {
  const found = row as unknown as Inspected;
  const { Labels: labels } = found.Config;
  // A service with outgoing traffic is in a second network, where its address is nobody's business.
  const network = Object.entries(found.NetworkSettings.Networks).find(([name]) => name.startsWith("dflow-env-"))?.[1];
  return {
    ...labelled(found.Name.replace(/^\//, ""), labels),
    id: found.Id,
    generation: Number(labels[LABEL.generation]),
    operationId: labels[LABEL.operation] ?? "",
    state: found.State.Status,
    health: found.State.Health?.Status ?? "none",
    restartPolicy: found.HostConfig.RestartPolicy.Name,
    startedAt: found.State.StartedAt,
    address: network?.IPAMConfig?.IPv4Address,
  };
}

function serviceFacts(row: Row, api: ApiAnswers, plane: Plane, journal: JournalRows, docker: Shown): ServiceFacts {
  const id = String(row.id);
  const environmentId = String(row.environment_id);
  const shown = api.services.get(id);
  const record = journal.services.get(id);
  const isOf = ({ service_id }: Row) => service_id === id;
  return {
    id,
    name: String(row.name),
    environmentId,
    api: shown && {
      state: shown.state,
      desired: shown.desired,
      evidence: shown.observed.evidence,
      volume: shown.observed.volume,
      containerId: shown.observed.containerId,
      openOperation: shown.openOperation?.id,
    },
    plane: {
      desired: String(row.desired),
      generation: Number(row.generation),
      everDeployed: row.deployed_at !== null,
      deleted: row.deleted_at !== null,
      inOutbox: plane.outbox.filter(isOf).length,
    },
    journal: record && {
      desired: record.desired,
      generation: record.generation,
      everDeployed: record.everDeployed,
      deleted: record.deleted,
      address: journal.networks.get(environmentId)?.addresses[id],
    },
    operations: plane.operations.filter(isOf).map((operation) => operationFacts(operation, api, journal)),
    makers: plane.everyOperation.filter(isOf).map((maker) => ({
      id: String(maker.id),
      kind: String(maker.kind),
      generation: Number(maker.generation),
      state: String(maker.state),
    })),
    foreign: [...journal.operations.values()]
      .filter(({ command }) => command?.serviceId === id)
      .map(({ operationId }) => operationId)
      .filter((operationId) => !plane.everyOperation.some((row) => row.id === operationId)),
    containers: docker.containers.filter(({ serviceId }) => serviceId === id),
    volumes: docker.volumes
      .filter(({ serviceId }) => serviceId === id)
      .map(({ name }) => {
        const volume = journal.volumes.get(name);
        const known = volume?.ready === undefined ? ("unfinished" as const) : ("ready" as const);
        return { name, journal: volume === undefined ? ("unrecorded" as const) : known };
      }),
  };
}

function operationFacts(row: Row, api: ApiAnswers, journal: JournalRows): OperationFacts {
  const id = String(row.id);
  const answer = api.operations.get(id);
  const record = journal.operations.get(id);
  const error = row.error === null ? undefined : (JSON.parse(String(row.error)) as { code: string });
  const isTerminal = (state: unknown) => TERMINAL_OPERATION_STATES.some((one) => one === state);
  return {
    id,
    kind: row.kind as OperationFacts["kind"],
    plane: {
      state: row.state as OperationFacts["plane"]["state"],
      generation: Number(row.generation),
      ended: row.ended_at !== null && isTerminal(row.state),
      started: row.started_at !== null,
      sent: row.sent_at !== null,
      ...(error === undefined ? {} : { errorCode: error.code }),
    },
    api: answer && {
      state: answer.operation.state,
      ended: answer.operation.endedAt !== null,
      lastedMs: lastedMs(answer.operation),
      lineCount: answer.operation.lineCount,
      numbers: answer.numbers,
      complete: answer.complete,
    },
    journal: record && {
      outcome: record.outcome?.state,
      lineCount: record.outcome?.lineCount ?? 0,
      acknowledged: record.acknowledged,
    },
    saysLeftover: answer?.texts.some((text) => LEFTOVER.test(text)) ?? false,
    deletesData: (JSON.parse(String(row.args)) as { deleteData?: boolean }).deleteData === true,
  };
}

function lastedMs({ startedAt, endedAt }: Operation): number {
  return startedAt === null || endedAt === null ? 0 : Date.parse(endedAt) - Date.parse(startedAt);
}
