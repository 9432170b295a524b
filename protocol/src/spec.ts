/** What the control plane tells an agent about a service. Typed and closed: never Docker JSON. */
import { z } from "zod";
import { engineIdSchema } from "./engines.ts";
import { idSchema, SERVICE_NAME_PATTERN } from "./ids.ts";

/** Docker refuses less than 6 MiB; below 16 MiB not even an entrypoint runs. */
export const MEMORY_BYTES_MIN = 16 * 1024 * 1024;

export const serviceSpecSchema = z.object({
  serviceId: idSchema,
  workspaceId: idSchema,
  environmentId: idSchema,
  name: z.string().regex(SERVICE_NAME_PATTERN),
  type: z.literal("database"),
  engine: engineIdSchema,
  version: z.string().min(1).max(32),
  image: z.string().min(1).max(255),
  standIn: z.boolean(),
  volumeId: idSchema,
  memoryBytes: z.number().int().min(MEMORY_BYTES_MIN).optional(),
  /** Whether it may open connections to what is outside its environment. */
  outgoing: z.boolean().default(false),
});
export type ServiceSpec = z.infer<typeof serviceSpecSchema>;

/** Secrets by name ("password"). They travel beside the spec, are rendered at send and never journalled. */
export const secretsSchema = z.record(z.string().regex(/^[a-z][a-z0-9_]{0,31}$/), z.string().min(1).max(1024));
export type Secrets = z.infer<typeof secretsSchema>;
