/** What an agent is configured by: `config.json` (optional, by the server's owner) and `agent.json` (by enrolment). */
import { AppError, idSchema, messageOf } from "@dflow/protocol";
import { z } from "zod";
import type { Files } from "./deps.ts";

const durationSchema = z.number().int().min(1).max(86_400_000);

const settingsSchema = z.strictObject({
  dockerSocket: z.string().startsWith("/", "must be an absolute path").default("/var/run/docker.sock"),
  networkRange: z.cidrv4("must be an IPv4 range such as 10.218.0.0/16").default("10.218.0.0/16"),
  readyTimeoutMs: durationSchema.default(300_000),
  pullTimeoutMs: durationSchema.default(3_600_000),
  /** Replaces the engines' own grace for a graceful stop. */
  stopGraceMs: durationSchema.optional(),
  /** Time between two complete looks at Docker; events are acted on at once. */
  observeMs: durationSchema.min(250).default(10_000),
  /** A connection that has lasted this long makes the next wait for one a short one again. */
  linkStableMs: durationSchema.default(60_000),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /** Operations of different services that run side by side. */
  concurrency: z.number().int().min(1).max(64).default(4),
});
export type Settings = z.infer<typeof settingsSchema>;

const enrolmentSchema = z.object({
  agentId: idSchema,
  serverName: z.string(),
  controlPlaneUrl: z.string(),
  controlPlaneId: z.string(),
  /** Id of the token that gave this agent its key, when that was a re-key. */
  rekeyedBy: idSchema.optional(),
});
/** Who this agent is and whom it obeys. */
export type Enrolment = z.infer<typeof enrolmentSchema>;

export interface Config {
  readonly dataDir: string;
  readonly settings: Readonly<Settings>;
  readonly enrolment: Readonly<Enrolment>;
}

/** Where things lie in the data folder. */
export const dataPaths = (dataDir: string) => ({
  settings: `${dataDir}/config.json`,
  enrolment: `${dataDir}/agent.json`,
  key: `${dataDir}/key.json`,
  /** The key that a re-key has made and that is not in use yet. */
  newKey: `${dataDir}/key.new.json`,
  epoch: `${dataDir}/epoch.json`,
  journal: `${dataDir}/journal.db`,
  lock: `${dataDir}/agent.lock`,
  link: `${dataDir}/link.json`,
  services: `${dataDir}/services`,
  onceIntents: `${dataDir}/once`,
});

export function loadSettings(files: Files, dataDir: string): Readonly<Settings> {
  const path = dataPaths(dataDir).settings;
  const text = files.readText(path);
  return Object.freeze(parseFile(path, text ?? "{}", settingsSchema));
}

/** `undefined` when this data folder is not enrolled. */
export function loadEnrolment(files: Files, dataDir: string): Readonly<Enrolment> | undefined {
  const path = dataPaths(dataDir).enrolment;
  const text = files.readText(path);
  return text === undefined ? undefined : Object.freeze(parseFile(path, text, enrolmentSchema));
}

function parseFile<S extends z.ZodType>(path: string, text: string, schema: S): z.infer<S> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AppError("invalid_input", `${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue === undefined || issue.path.length === 0 ? "the file" : `"${issue.path.join(".")}"`;
  throw new AppError("invalid_input", `${path}: ${field}: ${issue?.message ?? "is not valid"}`);
}

/** The control plane's address as it is stored: an origin, https unless it is this machine. */
export function parseControlPlaneUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    throw new AppError("invalid_input", `"${text}" is not an address`, {
      hint: "Give it as https://host or, for a control plane on this machine, http://127.0.0.1:PORT.",
      cause: error,
    });
  }
  const loopback = url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d+){3}$/.test(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && loopback)) {
    throw new AppError("invalid_input", `${url.protocol}//${url.host} is refused: only https leaves this machine`, {
      hint: "Give the control plane an https address. http is for 127.0.0.1 only.",
    });
  }
  if (url.username !== "" || url.password !== "") {
    throw new AppError("invalid_input", "an address with a user name or a password in it is refused");
  }
  return url.origin;
}
