/** Services: created, listed, shown, and their credentials. What is done to them is in actions.ts. */
import {
  AppError,
  type Credentials,
  credentialsOf,
  type EngineEntry,
  engineVersions,
  guard,
  type ImageMap,
  type Role,
  SERVICE_NAME_PATTERN,
  type Service,
  type ServiceAction,
  serviceNameProblem,
} from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import { isUniqueConflict } from "../db/conflicts.ts";
import type { Conn } from "../db/database.ts";
import type { RoomDeps } from "../deps.ts";
import { findEngine, listEngines } from "../engines/catalogue.ts";
import { findEnvironment } from "../environments/service.ts";
import { fieldError } from "../http/problem.ts";
import { findOpenOperation, newestChecks, newestOperations } from "../operations/accept.ts";
import { serviceSecretPlace } from "../secrets/seals.ts";
import { newPassword } from "./password.ts";
import {
  changeService,
  findSecret,
  findService,
  insertSecret,
  insertService,
  listServiceRows,
  type ServiceRow,
} from "./store.ts";
import { guardFacts, serviceView } from "./view.ts";

export async function getService(deps: RoomDeps, id: string, role: Role): Promise<Service> {
  const row = found(await findService(deps.db, id));
  const [view] = await views(deps, [row], role);
  if (view === undefined) throw new AppError("not_found", "There is no such service.");
  return view;
}

export async function listServices(deps: RoomDeps, environmentId: string, role: Role): Promise<Service[]> {
  return views(deps, await listServiceRows(deps.db, environmentId), role);
}

async function views(deps: RoomDeps, rows: ServiceRow[], role: Role): Promise<Service[]> {
  const ids = rows.map((row) => row.id);
  const newest = await newestOperations(deps.db, ids);
  const checks = await newestChecks(deps.db, ids);
  return rows.map((row) =>
    serviceView({
      row,
      newest: newest.find((operation) => operation.service_id === row.id),
      newestCheck: checks.find((operation) => operation.service_id === row.id),
      link: deps.agents.link(row.server_id),
      role,
      imageMap: deps.config.imageMap,
    }),
  );
}

export interface NewService {
  environmentId: string;
  engine: string;
  version?: string | undefined;
  name: string;
  memoryBytes?: number | undefined;
  outgoing?: boolean | undefined;
  role: Role;
  actor: Actor;
}

export async function createService(deps: RoomDeps, request: NewService): Promise<Service> {
  const engine = chosenEngine(request.engine, deps.config.imageMap);
  const version = chosenVersion(engine, request.version, deps.config.imageMap);
  checkName(request.name, engine);

  const now = deps.clock.now();
  const id = deps.random.id();
  const sealed = await deps.seals.seal(serviceSecretPlace(id, "password"), newPassword(deps.random));
  const environment = await deps.db.transaction().execute(async (trx) => {
    const row = await findEnvironment(trx, request.environmentId);
    if (row === undefined) throw new AppError("not_found", "There is no such environment.");
    try {
      await insertService(trx, {
        id,
        workspace_id: row.workspace_id,
        environment_id: row.id,
        server_id: row.server_id,
        name: request.name,
        engine: engine.id,
        version,
        volume_id: deps.random.id(),
        memory_bytes: request.memoryBytes ?? null,
        outgoing: request.outgoing === true ? 1 : 0,
        created_at: now,
      });
    } catch (error) {
      if (!isUniqueConflict(error, "service.environment_id, service.name")) throw error;
      throw fieldError("name", `There is a service named ${request.name} in this environment already.`, "name_taken");
    }
    await insertSecret(trx, { service_id: id, name: "password", sealed, created_at: now });
    await writeAudit(trx, deps, {
      workspaceId: row.workspace_id,
      actor: request.actor,
      action: "service.create",
      target: { kind: "service", id },
      details: { name: request.name, engine: engine.id, version, outgoing: request.outgoing },
    });
    return row;
  });
  deps.hub.publish(environment.workspace_id, {
    type: "service",
    id,
    revision: 1,
    environmentId: environment.id,
    applicationId: environment.application_id,
  });
  return getService(deps, id, request.role);
}

function chosenEngine(id: string, map: ImageMap): EngineEntry {
  const engine = findEngine(id);
  if (engine !== undefined) return engine;
  const known = listEngines(map).map((entry) => entry.id);
  throw fieldError("engine", `There is no engine “${id}”. Known: ${known.join(", ")}.`, "unknown_engine");
}

function chosenVersion(engine: EngineEntry, wanted: string | undefined, map: ImageMap): string {
  const version = wanted ?? engine.defaultVersion;
  const known = engineVersions(engine, map).map((entry) => entry.version);
  if (known.includes(version)) return version;
  throw fieldError(
    "version",
    `${engine.label} has no version “${version}” here. Known: ${known.join(", ")}.`,
    "unknown_version",
  );
}

function checkName(name: string, engine: EngineEntry): void {
  const problem = serviceNameProblem(name, engine.reservedNames);
  if (problem === undefined) return;
  throw fieldError("name", problem, SERVICE_NAME_PATTERN.test(name) ? "name_reserved" : "invalid_input");
}

export interface ServiceChange {
  id: string;
  outgoing?: boolean | undefined;
  role: Role;
  actor: Actor;
}

/** Of the row only: a container that runs goes on as it is until the next Deploy or Restart. */
export async function updateService(deps: RoomDeps, { id, outgoing, role, actor }: ServiceChange): Promise<Service> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = await permittedService({ ...deps, db: trx }, id, "change", role);
    if (outgoing === undefined || outgoing === (before.outgoing === 1)) return undefined;
    await changeService(trx, id, { outgoing: outgoing ? 1 : 0 });
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "service.update",
      target: { kind: "service", id },
      details: { name: before.name, outgoing },
    });
    return before;
  });
  if (row !== undefined) {
    deps.hub.publish(row.workspace_id, {
      type: "service",
      id,
      revision: row.revision + 1,
      environmentId: row.environment_id,
      applicationId: row.application_id,
    });
  }
  return getService(deps, id, role);
}

/** The service, when the guard table lets this caller do that with it now. */
export async function permittedService(
  deps: Pick<RoomDeps, "agents"> & { db: Conn },
  id: string,
  action: ServiceAction,
  role: Role,
): Promise<ServiceRow> {
  const row = found(await findService(deps.db, id));
  const open = await findOpenOperation(deps.db, id);
  const { verdict, code, sentence } = guard(action, guardFacts(row, open, deps.agents.link(row.server_id), role));
  if (verdict === "allowed") return row;
  throw new AppError(code ?? "forbidden", sentence ?? `Service ${row.name} cannot do that now.`, {
    details: code === "operation_open" ? { operationId: open?.id } : {},
  });
}

export async function readCredentials(deps: RoomDeps, id: string, role: Role, actor: Actor): Promise<Credentials> {
  const row = await permittedService(deps, id, "credentials", role);
  const engine = findEngine(row.engine);
  const sealed = await findSecret(deps.db, id, "password");
  if (engine === undefined || sealed === undefined) throw new Error(`service ${id} has no engine or no password`);
  const password = await deps.seals.open(serviceSecretPlace(id, "password"), sealed);
  await deps.db.transaction().execute((trx) =>
    writeAudit(trx, deps, {
      workspaceId: row.workspace_id,
      actor,
      action: "service.credentials.read",
      target: { kind: "service", id },
    }),
  );
  return credentialsOf(engine, row.name, password);
}

function found(row: ServiceRow | undefined): ServiceRow {
  if (row === undefined) throw new AppError("not_found", "There is no such service.");
  return row;
}
