/** What is being done when a process dies: each action prepares its ground, acts, and says what has to be true afterwards. */
import { join } from "node:path";
import type { Operation, Service } from "@dflow/protocol";
import { docker, type Product, psql } from "../support/product.ts";
import { readSqlite } from "../support/read-sqlite.ts";
import { until } from "../support/until.ts";

export interface Act {
  /** Services whose every row has to be true afterwards. */
  services: string[];
  /** Ids of its operations that may have ended as unknown. */
  unknown?(): string[];
  /** The request. Its connection may be cut by the kill. */
  request(): Promise<unknown>;
  /** What is not as it has to be, in sentences; asked when all is calm again. */
  problems(): Promise<string[]>;
  /** Gives back what the next row does not need. */
  clear(): Promise<void>;
}

export interface Action {
  name: string;
  /** With both processes up and nothing armed. */
  prepare(): Promise<Act>;
}

/** A version whose image lies in a registry, and the way to make this machine forget it. */
export interface Pulled {
  version: string;
  forget(): Promise<unknown>;
}

export function createActions(product: Product, environmentId: string, pulled: Pulled): Action[] {
  let count = 0;
  const nextName = () => `crash-${++count}`;
  const kept = new Map<string, Service>();

  /** In an environment of its own, so that the network comes and goes with it. */
  const created = async (extra = {}): Promise<Service> => {
    const [application] = idsIn(product, "select application_id as id from environment");
    const environment = await product.call("POST", `/applications/${application}/environments`, {
      name: nextName(),
      serverId: product.serverId,
    });
    return product.createService(String(environment.id), nextName(), extra);
  };
  const deployed = async (): Promise<Service> => {
    const service = await created();
    await must(product, service.id, "deploy");
    return service;
  };
  /** One database serves all rows of an action that leaves it there, unless a row has left it in an impossible state. */
  const keptFor = async (action: string): Promise<Service> => {
    const known = kept.get(action);
    const state = known && (await stateOf(product, known.id));
    const service = known !== undefined && (state === "running" || state === "stopped") ? known : await deployed();
    kept.set(action, service);
    return service;
  };

  const onService = (
    name: string,
    verb: "deploy" | "restart" | "stop" | "check" | "delete",
    prepare: () => Promise<Service>,
    expected: { operation: Operation["state"]; orUnknown?: boolean; service: Service["state"] | "gone" },
  ): Action => ({
    name,
    async prepare() {
      const service = await prepare();
      const before = (await stateOf(product, service.id)) ?? "gone";
      const startedBefore = containerStart(service.id);
      const known = new Set(newOperations(product, service.id, new Set()).map(({ id }) => id));
      return {
        services: [service.id],
        unknown: () =>
          expected.orUnknown === true ? newOperations(product, service.id, known).map(({ id }) => id) : [],
        request: () =>
          verb === "delete"
            ? product.call("DELETE", `/services/${service.id}`, { data: true, name: service.name })
            : product.call("POST", `/services/${service.id}/${verb}`),
        async problems() {
          const fresh = newOperations(product, service.id, known);
          const state = (await stateOf(product, service.id)) ?? "gone";
          if (fresh.length > 1) return [`one request made ${fresh.length} operations`];
          const [operation] = fresh;
          if (operation === undefined) {
            return state === before ? [] : [`nothing was accepted, and the state went from ${before} to ${state}`];
          }
          const problems: string[] = [];
          const isUnknown = expected.orUnknown === true && operation.state === "unknown";
          if (operation.state !== expected.operation && !isUnknown) {
            problems.push(`the operation ended as ${operation.state}, not ${expected.operation}: ${operation.error}`);
          }
          if (state !== expected.service) problems.push(`the service is ${state}, not ${expected.service}`);
          if (verb === "check" && containerStart(service.id) !== startedBefore) {
            problems.push("a check has touched the database's own container");
          }
          if (name === "restart" && containerStart(service.id) === startedBefore) {
            problems.push("the restart succeeded, and the container is still in its former run");
          }
          if (state === "running") problems.push(...(await answers(product, service)));
          return problems;
        },
        async clear() {
          if ([...kept.values()].some(({ id }) => id === service.id)) return;
          const { status, body } = await product.ask<Operation>("DELETE", `/services/${service.id}`, {
            data: true,
            name: service.name,
          });
          // A service that its row has left broken stays for the reader, and the next rows go on without it.
          if (status !== 404 && status !== 202) return;
          if (status === 202) await product.ended(body.id);
          await product.ask("DELETE", `/environments/${service.environment.id}`);
        },
      };
    },
  });

  const creates = (table: string, path: () => Promise<string>, body: () => Record<string, unknown>): Action => ({
    name: `create ${table.replace("_", " ")}`,
    async prepare() {
      const [where, what] = [await path(), body()];
      const rows = idsIn(product, `select id from ${table}`);
      const audited = idsIn(product, `select target_id as id from audit where action = '${table}.create'`);
      return {
        services: [],
        request: () => product.call("POST", where, what),
        async problems() {
          const made = idsIn(product, `select id from ${table}`).filter((id) => !rows.includes(id));
          const told = idsIn(product, `select target_id as id from audit where action = '${table}.create'`);
          const fresh = told.filter((id) => !audited.includes(id));
          if (made.length > 1) return [`one request made ${made.length} rows of ${table}`];
          return made.join() === fresh.join() ? [] : [`the rows of ${table} and their audit rows differ`];
        },
        clear: async () => undefined,
      };
    },
  });

  return [
    onService("deploy", "deploy", created, {
      operation: "succeeded",
      service: "running",
    }),
    onService(
      "deploy with a pull",
      "deploy",
      async () => {
        const service = await created({ version: pulled.version });
        await pulled.forget();
        return service;
      },
      { operation: "succeeded", service: "running" },
    ),
    onService("deploy that fails", "deploy", () => created({ version: "18-exits" }), {
      operation: "failed",
      service: "not_deployed",
    }),
    onService("restart", "restart", async () => started(product, await keptFor("restart")), {
      operation: "succeeded",
      service: "running",
    }),
    onService("restart of a stopped one", "restart", async () => stopped(product, await keptFor("start")), {
      operation: "succeeded",
      service: "running",
    }),
    onService("stop", "stop", async () => started(product, await keptFor("stop")), {
      operation: "succeeded",
      service: "stopped",
    }),
    // Killed between the intent and the container, nobody knows whether it was made, and it is not made again.
    onService("check", "check", async () => started(product, await keptFor("check")), {
      operation: "succeeded",
      orUnknown: true,
      service: "running",
    }),
    onService("delete", "delete", deployed, { operation: "succeeded", service: "gone" }),
    creates(
      "application",
      async () => `/workspaces/${product.login.workspaceId}/applications`,
      () => ({ name: nextName() }),
    ),
    creates(
      "environment",
      async () => {
        const [application] = idsIn(product, "select application_id as id from environment");
        return `/applications/${application}/environments`;
      },
      () => ({ name: nextName(), serverId: product.serverId }),
    ),
    creates(
      "service",
      async () => `/environments/${environmentId}/services`,
      () => ({ type: "database", engine: "postgres", name: nextName() }),
    ),
    creates(
      "api_key",
      async () => `/workspaces/${product.login.workspaceId}/api-keys`,
      () => ({ name: nextName(), role: "viewer" }),
    ),
    creates(
      "enrolment_token",
      async () => `/workspaces/${product.login.workspaceId}/enrolment-tokens`,
      () => ({ serverName: nextName() }),
    ),
    creates(
      "invitation",
      async () => `/workspaces/${product.login.workspaceId}/invitations`,
      () => ({ email: `${nextName()}@example.test`, role: "viewer" }),
    ),
  ];
}

async function must(product: Product, serviceId: string, verb: "deploy" | "restart" | "stop"): Promise<void> {
  const operation = await product.run(serviceId, verb);
  if (operation.state !== "succeeded") throw new Error(`${verb}: ${operation.state}: ${operation.error?.message}`);
}

async function started(product: Product, service: Service): Promise<Service> {
  if ((await stateOf(product, service.id)) !== "running") await must(product, service.id, "restart");
  await until("running", async () => (await stateOf(product, service.id)) === "running");
  return service;
}

async function stopped(product: Product, service: Service): Promise<Service> {
  if ((await stateOf(product, service.id)) !== "stopped") await must(product, service.id, "stop");
  await until("stopped", async () => (await stateOf(product, service.id)) === "stopped");
  return service;
}

/** `undefined` when there is no such service. */
async function stateOf(product: Product, serviceId: string): Promise<Service["state"] | undefined> {
  const { status, body } = await product.ask<Service>("GET", `/services/${serviceId}`);
  return status === 404 ? undefined : body.state;
}

/** From the table, which also knows those of a service that is gone, and more than the API gives on one page. */
function newOperations(product: Product, serviceId: string, known: ReadonlySet<string>) {
  return rowsIn(product, "select id, state, error from operation where service_id = ?", serviceId).filter(
    ({ id }) => !known.has(String(id)),
  ) as { id: string; state: Operation["state"]; error: string | null }[];
}

async function answers(product: Product, { id, environment }: Service): Promise<string[]> {
  const { uri } = await product.call<{ uri: string }>("GET", `/services/${id}/credentials`);
  const { output } = await psql(environment.id, uri, "select 1");
  return output.trim() === "1" ? [] : [`the database does not answer: ${output}`];
}

/** When Docker started the container of a service; "" without one. */
function containerStart(serviceId: string): string {
  const [id] = docker("ps", "-a", "-q", "--filter", `label=sh.dflow.service=${serviceId}`).split("\n");
  return id ? docker("inspect", "-f", "{{.State.StartedAt}}", id).trim() : "";
}

function idsIn(product: Product, sql: string): string[] {
  return rowsIn(product, sql).map(({ id }) => String(id));
}

function rowsIn(product: Product, sql: string, ...values: string[]): Record<string, unknown>[] {
  return readSqlite(join(product.home, "control-plane/control-plane.sqlite"), (all) => all(sql, ...values));
}
