/**
 * Commands on their way to one server. A row stands in the outbox until its agent has acknowledged it, and is sent again on
 * every new session; per service one at a time and in order. Secrets are opened here, at the last moment, and kept nowhere.
 */
import { type Command, commandSchema, OPERATION_CLASSES, type OutgoingToAgent } from "@dflow/protocol";
import type { Selectable } from "kysely";
import type { Conn, Trx } from "../db/database.ts";
import type { OperationTable } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import {
  endOperation,
  hasEnded,
  moveOperation,
  type OperationChange,
  publishOperationChange,
} from "../operations/results.ts";
import { serviceSecretPlace } from "../secrets/seals.ts";
import { mayBeSent } from "./admission.ts";
import { OPEN_BY_INDEX } from "./commands.ts";

type OutboxDeps = Pick<Deps, "db" | "clock" | "hub" | "seals" | "log">;

export interface OutboxLink {
  serverId: string;
  session: number;
  send(frame: OutgoingToAgent): void;
  /** False once the socket is gone: what is not sent yet waits for the next one. */
  isOpen(): boolean;
}

export interface Outbox {
  /** Sends what can be sent; a call during a run makes it run once more. Resolves when there is nothing left to send. */
  pump(): Promise<void>;
}

interface Waiting {
  id: number;
  service_id: string;
  operation_id: string;
  kind: "command" | "cancel";
  sent_session: number | null;
}

export function createOutbox(deps: OutboxDeps, link: OutboxLink): Outbox {
  let running: Promise<void> | undefined;
  let again = false;

  const run = async (): Promise<void> => {
    try {
      do {
        again = false;
        const rows = await waitingRows(deps.db, link.serverId);
        for (const row of nextRows(rows, link.session)) {
          if (!link.isOpen()) return;
          await sendRow(row);
        }
      } while (again && link.isOpen());
    } finally {
      // In the same turn as the last look at `again`: a later one could miss a call between the two.
      running = undefined;
    }
  };

  const sendRow = async (row: Waiting): Promise<void> => {
    const frame = row.kind === "cancel" ? await renderCancel(row) : await renderCommand(row);
    if (frame !== undefined) link.send(frame);
  };

  const renderCancel = (row: Waiting): Promise<OutgoingToAgent | undefined> =>
    deps.db.transaction().execute(async (trx) => {
      const stillThere = await markSent(trx, row.id, link.session);
      return stillThere ? { type: "cancel", data: { operationId: row.operation_id } } : undefined;
    });

  const renderCommand = async (row: Waiting): Promise<OutgoingToAgent | undefined> => {
    const now = deps.clock.now();
    const operation = await deps.db
      .selectFrom("operation")
      .selectAll()
      .where("id", "=", row.operation_id)
      .executeTakeFirstOrThrow();
    const command = await commandOf(deps, operation, now).catch((error: unknown) => {
      // No session will be able to send it, so it ends here instead of standing before all that follows.
      deps.log.error({ err: error, operationId: operation.id }, "render a command");
      return undefined;
    });
    const { frame, change } = await deps.db.transaction().execute(async (trx) => {
      const current = await trx
        .selectFrom("operation")
        .select(["state", "sent_at"])
        .where("id", "=", operation.id)
        .executeTakeFirstOrThrow();
      if (hasEnded(current)) {
        await trx.deleteFrom("outbox").where("operation_id", "=", operation.id).execute();
        return {};
      }
      if (!(await mayBeSent(trx, link.serverId))) return {};
      if (command === undefined) return { change: await failUnsendable(trx, operation.id, now) };
      if (current.sent_at === null && operation.start_before <= now) {
        again = true;
        return { change: await expire(trx, operation.id, now) };
      }
      if (!(await markSent(trx, row.id, link.session))) return {};
      const change = await moveOperation(trx, operation.id, "sent", now);
      return { frame: { type: "command", data: command } satisfies OutgoingToAgent, change };
    });
    if (change !== undefined) publishOperationChange(deps.hub, change);
    return frame;
  };

  return {
    pump() {
      again = true;
      running ??= run();
      return running;
    },
  };
}

/** Which rows go out now: the first command of each service unless it is under way, and cancels behind their command. */
export function nextRows(rows: readonly Waiting[], session: number): Waiting[] {
  const next: Waiting[] = [];
  const servicesTaken = new Set<string>();
  const underWay = new Set(rows.filter((row) => row.sent_session === session).map((row) => row.id));
  for (const row of rows) {
    if (row.kind === "command") {
      if (servicesTaken.has(row.service_id)) continue;
      servicesTaken.add(row.service_id);
    } else {
      const command = rows.find((other) => other.kind === "command" && other.operation_id === row.operation_id);
      if (command !== undefined && !underWay.has(command.id) && !next.includes(command)) continue;
    }
    if (!underWay.has(row.id)) next.push(row);
  }
  return next;
}

function waitingRows(db: Conn, serverId: string): Promise<Waiting[]> {
  return db
    .selectFrom("outbox")
    .select(["id", "service_id", "operation_id", "kind", "sent_session"])
    .where("server_id", "=", serverId)
    .orderBy("id")
    .execute();
}

async function markSent(trx: Trx, rowId: number, session: number): Promise<boolean> {
  const updated = await trx
    .updateTable("outbox")
    .set({ sent_session: session })
    .where("id", "=", rowId)
    .executeTakeFirst();
  return updated.numUpdatedRows > 0n;
}

/** The command as it travels. One that was sent before may be known to its agent, which then judges the time itself. */
async function commandOf(
  deps: Pick<OutboxDeps, "db" | "seals">,
  operation: Selectable<OperationTable>,
  now: number,
): Promise<Command> {
  const args = JSON.parse(operation.args) as Record<string, unknown>;
  const needsSecrets = operation.kind === "deploy" || operation.kind === "restart";
  return commandSchema.parse({
    ...args,
    kind: operation.kind,
    operationId: operation.id,
    serviceId: operation.service_id,
    generation: operation.generation,
    startWithinMs: Math.max(0, operation.start_before - now),
    runMs: operation.run_ms,
    ...(OPERATION_CLASSES[operation.kind] === "once" && operation.state === "running" ? { acknowledged: true } : {}),
    ...(needsSecrets ? { secrets: await openSecrets(deps, operation.service_id) } : {}),
  });
}

async function openSecrets(deps: Pick<OutboxDeps, "db" | "seals">, serviceId: string): Promise<Record<string, string>> {
  const rows = await deps.db
    .selectFrom("secret")
    .select(["name", "sealed"])
    .where("service_id", "=", serviceId)
    .execute();
  const opened = rows.map(
    async ({ name, sealed }): Promise<[string, string]> => [
      name,
      await deps.seals.open(serviceSecretPlace(serviceId, name), sealed),
    ],
  );
  return Object.fromEntries(await Promise.all(opened));
}

function failUnsendable(trx: Trx, operationId: string, now: number): Promise<OperationChange | undefined> {
  return endOperation(trx, operationId, {
    state: "failed",
    endedAt: now,
    failure: {
      code: "internal",
      message: "The control plane could not put this command together, so it was not sent.",
      hint: "Look for “render a command” in the control plane's log. A lost or replaced sealing key is one cause.",
    },
  });
}

function expire(trx: Trx, operationId: string, now: number): Promise<OperationChange | undefined> {
  return endOperation(trx, operationId, {
    state: "expired",
    endedAt: now,
    failure: {
      code: "expired",
      message: "The server could not be reached in time, so nothing was done.",
      hint: "Start it again when the server is online.",
    },
  });
}

/** Ends what waited too long for a server that is away. What was sent once is left to its agent: it may be running there. */
export async function expireWaiting(deps: Pick<OutboxDeps, "db" | "clock" | "hub">): Promise<void> {
  const now = deps.clock.now();
  const late = await deps.db
    .selectFrom("operation")
    .select("id")
    .where(OPEN_BY_INDEX)
    .where("state", "=", "queued")
    .where("start_before", "<=", now)
    .where("sent_at", "is", null)
    .execute();
  for (const { id } of late) {
    const change = await deps.db.transaction().execute(async (trx) => {
      const current = await trx.selectFrom("operation").select("state").where("id", "=", id).executeTakeFirst();
      return current?.state === "queued" ? expire(trx, id, now) : undefined;
    });
    if (change !== undefined) publishOperationChange(deps.hub, change);
  }
}
