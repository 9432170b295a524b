/** What survives a crash: received commands and their results, logs, wanted states, and what was made in Docker. */
import {
  type CrashPoint,
  commandSchema,
  desiredStateSchema,
  idSchema,
  resultSchema,
  serviceSpecSchema,
} from "@dflow/protocol";
import { z } from "zod";
import { databaseWithCrashPoints } from "../crash-points.ts";
import type { Clock, Files, Log } from "../deps.ts";
import { openDatabase } from "./database.ts";
import { createLines, LINES_SCHEMA } from "./lines.ts";
import { createRecords, recordsSchema, SET_ASIDE_SCHEMA } from "./records.ts";
import { ageMs, stampNow, stampSchema } from "./stamp.ts";

const withoutSecrets = { secrets: true } as const;
/** A command as it is kept: the values of its secrets lie in files of their own, never here. */
const [deploySchema, restartSchema, stopSchema, deleteSchema, checkSchema] = commandSchema.options;
export const keptCommandSchema = z.discriminatedUnion("kind", [
  deploySchema.omit(withoutSecrets),
  restartSchema.omit(withoutSecrets),
  stopSchema,
  deleteSchema,
  checkSchema,
]);
export type KeptCommand = z.infer<typeof keptCommandSchema>;

/** Ages are computed when a result is sent, so the moments are kept instead. */
const outcomeSchema = resultSchema.omit({ operationId: true, startedAgeMs: true, endedAgeMs: true }).extend({
  endedAt: stampSchema,
});
export type Outcome = z.infer<typeof outcomeSchema>;

const operationSchema = z.object({
  operationId: z.string(),
  /** Absent for a row that was damaged: its outcome says so. */
  command: keptCommandSchema.optional(),
  receivedAt: stampSchema,
  startedAt: stampSchema.optional(),
  /** What restart has to change: when the container had started before. */
  containerStartedAt: z.string().optional(),
  /** Of class `once`: from here on its job container may be there, or may have been. It is never made after this. */
  intendedAt: stampSchema.optional(),
  outcome: outcomeSchema.optional(),
  /** It was cancelled after it had begun: a new run of the agent only cleans up. */
  cancelled: z.boolean().optional(),
  /** The control plane has the result. */
  acknowledged: z.boolean(),
});
export type OperationRecord = z.infer<typeof operationSchema>;

const serviceSchema = z.object({
  serviceId: z.string(),
  /** Of the newest command that was accepted. */
  generation: z.number().int(),
  desired: desiredStateSchema,
  /** A deploy has succeeded at least once. */
  everDeployed: z.boolean(),
  /** Nothing of it is reported any more; the row stays, so that late commands are still seen to be late. */
  deleted: z.boolean(),
  environmentId: z.string().optional(),
  spec: serviceSpecSchema.optional(),
});
export type ServiceRecord = z.infer<typeof serviceSchema>;

const volumeSchema = z.object({
  name: z.string(),
  serviceId: z.string(),
  createdBy: z.string(),
  /** Written when the engine's probe first passed. Without it the volume may hold half a database. */
  ready: z.object({ at: stampSchema, identity: z.string(), major: z.number().int() }).optional(),
});
export type VolumeRecord = z.infer<typeof volumeSchema>;

const networkSchema = z.object({
  environmentId: z.string(),
  subnet: z.string(),
  /** Fixed address by service id. */
  addresses: z.record(z.string(), z.string()),
  /** Ids of the services that need the environment's outgoing network. */
  outgoing: z.array(z.string()).default([]),
});
export type NetworkRecord = z.infer<typeof networkSchema>;

const imageSchema = z.object({
  reference: z.string(),
  imageId: z.string(),
  pulledAt: stampSchema,
  /** The first look that found nobody using it, since somebody last did. */
  unusedSince: stampSchema.optional(),
});
/** An image that this agent pulled itself. */
export type ImageRecord = z.infer<typeof imageSchema>;

/** Ids of finished operations are known for this long, so that a command that is sent again is recognised. */
const KEEP_FINISHED_MS = 8 * 86_400_000;

export type Journal = ReturnType<typeof createJournal>;

export interface JournalDeps {
  clock: Clock;
  files: Files;
  log: Log;
  crashPoint?: CrashPoint | undefined;
  /** The file turned out to be damaged in the middle of work. It is set aside by then, and this run has to end. */
  onDamage(error: Error): void;
}

export function createJournal({ clock, files, log, crashPoint, onDamage }: JournalDeps, path: string) {
  const tables = ["operations", "services", "volumes", "networks", "images"] as const;
  const schema = [SET_ASIDE_SCHEMA, ...tables.map(recordsSchema), LINES_SCHEMA].join("\n");
  const opened = openDatabase(
    { files, clock, log },
    {
      path,
      schema,
      trials: [
        ...tables.map((table) => `SELECT id, body, sha256 FROM ${table}`),
        "SELECT min(n), max(n) FROM lines",
        "SELECT source, id, body, reason FROM set_aside",
      ],
      onDamage,
    },
  );
  const database = crashPoint === undefined ? opened : databaseWithCrashPoints(opened, crashPoint);

  const records = <S extends z.ZodType>(
    table: (typeof tables)[number],
    rowSchema: S,
    replacement: (id: string) => z.infer<S> | undefined = () => undefined,
  ) =>
    createRecords(database, table, rowSchema, (damage) => {
      log.error(damage, "a journal entry was damaged and was set aside");
      return replacement(damage.id);
    });
  const operations = records("operations", operationSchema, outcomeUnknown);
  const services = records("services", serviceSchema);
  const volumes = records("volumes", volumeSchema);
  const networks = records("networks", networkSchema);
  const images = records("images", imageSchema);

  /** Nobody knows what became of it, and that is what the control plane has to hear. */
  function outcomeUnknown(operationId: string): OperationRecord | undefined {
    if (!idSchema.safeParse(operationId).success) return undefined;
    const now = stampNow(clock);
    return {
      operationId,
      receivedAt: now,
      acknowledged: false,
      outcome: {
        state: "unknown",
        failure: {
          code: "outcome_unknown",
          message: "the agent's journal entry of this operation was damaged",
          hint: "Look at the service's state, which is observed, and repeat the action if needed.",
        },
        lineCount: lines.count(operationId),
        endedAt: now,
      },
    };
  }

  const lines = createLines({ clock, database, log });

  return {
    operations: {
      get: operations.get,
      all: operations.all,
      /** In the order of their generations: ids grow with the control plane's clock, which may be set back. */
      unfinished: () =>
        operations
          .all()
          .filter((operation) => operation.outcome === undefined)
          .toSorted((a, b) => (a.command?.generation ?? 0) - (b.command?.generation ?? 0)),
      undelivered: () => operations.all().filter((operation) => !operation.acknowledged),
      put: (operation: OperationRecord) => operations.put(operation.operationId, operation),
      /** Changes a record that exists; nothing happens to one that does not. */
      change(operationId: string, part: Partial<OperationRecord>): OperationRecord | undefined {
        const known = operations.get(operationId);
        if (known === undefined) return undefined;
        const changed = { ...known, ...part };
        operations.put(operationId, changed);
        return changed;
      },
    },
    services: {
      get: services.get,
      all: services.all,
      put: (service: ServiceRecord) => services.put(service.serviceId, service),
      change(serviceId: string, part: Partial<ServiceRecord>): void {
        const known = services.get(serviceId);
        if (known !== undefined) services.put(serviceId, { ...known, ...part });
      },
    },
    volumes: {
      get: volumes.get,
      all: volumes.all,
      put: (volume: VolumeRecord) => volumes.put(volume.name, volume),
      remove: volumes.remove,
    },
    networks: {
      get: networks.get,
      all: networks.all,
      put: (network: NetworkRecord) => networks.put(network.environmentId, network),
      remove: networks.remove,
    },
    images: {
      get: images.get,
      all: images.all,
      put: (image: ImageRecord) => images.put(image.reference, image),
      /** Nothing happens to one that the agent did not pull. */
      markUsed(reference: string): void {
        const known = images.get(reference);
        if (known?.unusedSince !== undefined) images.put(reference, { ...known, unusedSince: undefined });
      },
      remove: images.remove,
    },
    lines,
    transaction: database.transaction,
    /** Drops the lines that were delivered, and operations that are long over. */
    compact(): void {
      for (const operation of operations.all()) {
        const { outcome, acknowledged, operationId } = operation;
        if (outcome === undefined || !acknowledged) continue;
        lines.removeAll(operationId);
        if (ageMs(clock, outcome.endedAt) > KEEP_FINISHED_MS) operations.remove(operationId);
      }
      lines.removeOrphans();
    },
    close: database.close,
  };
}
