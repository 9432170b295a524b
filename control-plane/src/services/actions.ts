/** Deploy, restart, stop, check, delete: checked by the guard table, then one transaction, then the agent is woken. */
import {
  AppError,
  type DesiredState,
  guard,
  type ImageMap,
  isTerminal,
  type Operation,
  type OperationKind,
  type Role,
  type ServiceSpec,
  serviceSpecSchema,
} from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import type { Trx } from "../db/database.ts";
import type { RoomDeps } from "../deps.ts";
import { resolveImage } from "../engines/catalogue.ts";
import { fieldError } from "../http/problem.ts";
import {
  acceptOperation,
  completeOperation,
  findOpenOperation,
  findOperation,
  type NewOperation,
  neverSent,
} from "../operations/accept.ts";
import { type OperationChange, publishOperationChange } from "../operations/results.ts";
import { operationView } from "../operations/view.ts";
import { acceptAction, findService, type ServiceRow } from "./store.ts";
import { guardFacts, observationOf } from "./view.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** How long an action may wait for its server, how long it may run, and what is wanted afterwards. */
const TERMS: Record<OperationKind, { startWithinMs: number; runMs: number; desired?: DesiredState }> = {
  deploy: { startWithinMs: 10 * MINUTE_MS, runMs: 20 * MINUTE_MS, desired: "running" },
  restart: { startWithinMs: 10 * MINUTE_MS, runMs: 10 * MINUTE_MS, desired: "running" },
  stop: { startWithinMs: 10 * MINUTE_MS, runMs: 10 * MINUTE_MS, desired: "stopped" },
  // Changes nothing of what is wanted. Together less than the hour after which a server that is away is given up.
  check: { startWithinMs: 10 * MINUTE_MS, runMs: 45 * MINUTE_MS },
  // A server that is away for weeks still gets it when it returns.
  delete: { startWithinMs: 30 * DAY_MS, runMs: 10 * MINUTE_MS, desired: "absent" },
};

export interface ActionRequest {
  serviceId: string;
  kind: OperationKind;
  role: Role;
  actor: Actor;
  /** The service's name, typed by the person: needed for a new deploy after data loss, checked whenever given. */
  name?: string | undefined;
  /** With `delete`: the data volume goes too. */
  deleteData?: boolean;
}

export async function startAction(deps: RoomDeps, request: ActionRequest): Promise<Operation> {
  const { operation, serverId, change } = await deps.db.transaction().execute(async (trx) => {
    const service = await findService(trx, request.serviceId);
    if (service === undefined) throw new AppError("not_found", "There is no such service.");
    await checkGuard(deps, trx, service, request);
    checkTypedName(service, request);

    // After data loss a new volume: nothing that was remembered of the old one may be taken for it.
    const renewed = request.kind === "deploy" && service.deployed_at !== null;
    const planned = renewed ? { ...service, volume_id: deps.random.id() } : service;
    const row = operationRow(deps, planned, request);
    const change = await writeAction(deps, trx, planned, row, request);
    const written = await findOperation(trx, row.id);
    if (written === undefined) throw new Error(`operation ${row.id} was not written`);
    return { operation: written, serverId: service.server_id, change };
  });
  if (!isTerminal(operation.state)) deps.agents.wake(serverId);
  if (change !== undefined) publishOperationChange(deps.hub, change);
  return operationView(operation);
}

async function checkGuard(deps: RoomDeps, trx: Trx, service: ServiceRow, request: ActionRequest): Promise<void> {
  const open = await findOpenOperation(trx, service.id);
  const link = deps.agents.link(service.server_id);
  const { verdict, code, sentence } = guard(request.kind, guardFacts(service, open, link, request.role));
  if (verdict === "allowed") return;
  throw new AppError(code ?? "forbidden", sentence ?? `Service ${service.name} cannot do that now.`, {
    details: code === "operation_open" ? { operationId: open?.id } : {},
  });
}

function checkTypedName(service: ServiceRow, { kind, name }: ActionRequest): void {
  const needed = kind === "deploy" && service.deployed_at !== null;
  if (name === undefined && !needed) return;
  if (name === service.name) return;
  const why = needed
    ? `The data of ${service.name} is gone from its server. Type the service's name to deploy an empty database in its place.`
    : "The name does not match the service's name.";
  throw fieldError("name", why, "confirmation_mismatch");
}

function operationRow({ clock, random, config }: RoomDeps, service: ServiceRow, request: ActionRequest): NewOperation {
  const { kind, actor } = request;
  const now = clock.now();
  return {
    id: random.id(),
    workspace_id: service.workspace_id,
    service_id: service.id,
    server_id: service.server_id,
    kind,
    generation: service.generation + 1,
    args: JSON.stringify({ ...argsOf(service, request, config.imageMap), previousDesired: service.desired }),
    created_by_kind: actor.kind,
    created_by_name: actor.name,
    created_at: now,
    start_before: now + TERMS[kind].startWithinMs,
    run_ms: TERMS[kind].runMs,
  };
}

function argsOf(service: ServiceRow, { kind, deleteData }: ActionRequest, imageMap: ImageMap): Record<string, unknown> {
  if (kind === "deploy" || kind === "restart") return { spec: specOf(service, imageMap) };
  return kind === "delete" ? { deleteData: deleteData === true } : {};
}

function specOf(service: ServiceRow, imageMap: ImageMap): ServiceSpec {
  const image = resolveImage(service.engine, service.version, imageMap);
  if (image === undefined) {
    throw new AppError("unknown_version", `${service.engine} ${service.version} is in no image map and no catalogue.`, {
      hint: "Add it to the image map again.",
    });
  }
  return serviceSpecSchema.parse({
    serviceId: service.id,
    workspaceId: service.workspace_id,
    environmentId: service.environment_id,
    name: service.name,
    type: service.type,
    engine: service.engine,
    version: service.version,
    image: image.image,
    standIn: image.standIn,
    volumeId: service.volume_id,
    memoryBytes: service.memory_bytes ?? undefined,
    outgoing: service.outgoing === 1,
  });
}

async function writeAction(
  deps: RoomDeps,
  trx: Trx,
  service: ServiceRow,
  row: NewOperation,
  { actor, deleteData }: ActionRequest,
): Promise<OperationChange | undefined> {
  const { desired = service.desired } = TERMS[row.kind];
  await acceptAction(trx, service.id, { desired, generation: row.generation, volumeId: service.volume_id });
  await writeAudit(trx, deps, {
    workspaceId: service.workspace_id,
    actor,
    action: `service.${row.kind}`,
    target: { kind: "service", id: service.id },
    details: { operationId: row.id, name: service.name, deleteData },
  });
  if (row.kind !== "delete" || !(await nothingWasDeployed(trx, service))) return acceptOperation(trx, row);
  // No volume that anybody could keep: its password goes too.
  const everything = { ...row, args: JSON.stringify({ deleteData: true }) };
  return completeOperation(trx, everything, "Nothing was deployed, so there was nothing to remove on the server.");
}

/** No command ever left for the agent, and the agent has seen nothing of it. */
async function nothingWasDeployed(trx: Trx, service: ServiceRow): Promise<boolean> {
  const seen = service.observed_state !== "not_deployed" || observationOf(service).volume === "present";
  return !seen && service.deployed_at === null && (await neverSent(trx, service.id));
}
