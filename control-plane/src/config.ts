/** The control plane's configuration: a JSON file and flags, checked once, frozen ever after. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { type ImageMap, imageMapSchema, messageOf } from "@dflow/protocol";
import ipaddr from "ipaddr.js";
import { z } from "zod";

const addressOrRange = z.string().refine((text) => ipaddr.isValid(text) || ipaddr.isValidCIDR(text), {
  message: "an IP address or a CIDR range",
});

/**
 * How much one address may ask for (an IPv4 address, or an IPv6 /64), and how much all may. The defaults leave room for an
 * office, or a hundred servers, behind one address; docs/operating.md has them as a table.
 */
const limitsSchema = z.strictObject({
  requestsPerMinute: z.number().int().min(60).default(3_000),
  signInsPerMinute: z.number().int().min(1).default(60),
  enrolmentsPerMinute: z.number().int().min(2).default(120),
  handshakesPerMinute: z.number().int().min(1).default(600),
  /** Agents' handshakes that begin, of all addresses together; a burst may be as many at once. */
  upgradesPerSecond: z.number().int().min(1).max(10_000).default(200),
  connectionsPerAddress: z.number().int().min(8).default(512),
  /** Of all addresses together, agents' websockets not counted. Ten KiB each that the process keeps for the next. */
  connections: z.number().int().min(16).default(2_000),
  /** How late a 429 is given; see http/slow-refusal.ts. 0: at once. */
  refusalDelayMs: z.number().int().min(0).max(2_000).default(250),
  /**
   * Passwords of strangers that are hashed side by side, at 32 MiB and a core each. One core is left for everything else,
   * and of Node's four threads one for whoever is known and one for signatures.
   */
  passwordsAtOnce: z
    .number()
    .int()
    .min(1)
    .max(2)
    .default(() => Math.max(1, Math.min(2, availableParallelism() - 1))),
});

export type Limits = Readonly<z.infer<typeof limitsSchema>>;

/** The file. Every field may be left out. Paths in it are relative to the folder the file lies in. */
const fileSchema = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default("127.0.0.1"),
      port: z.number().int().min(1).max(65535).default(3100),
    })
    .prefault({}),
  /** The address that browsers and agents use. https unless everything stays on this machine. */
  publicUrl: z.url({ protocol: /^https?$/ }).optional(),
  /** Engine, version → image: for machines without a registry. */
  imageMap: z.string().min(1).optional(),
  /** Proxies whose X-Forwarded-For is believed. */
  trustedProxies: z.array(addressOrRange).default([]),
  limits: limitsSchema.prefault({}),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  webDir: z.string().min(1).optional(),
  /** Where install.sh and the agent's archives lie (scripts/archive makes them). */
  releaseDir: z.string().min(1).optional(),
  /** How often agents report, and how long either side waits for any frame. Tests make both short. */
  heartbeatMs: z.number().int().min(50).default(15_000),
  linkDeadlineMs: z.number().int().min(100).default(45_000),
  /** How long after its start the control plane waits for servers that were online before it went down. */
  reconnectGraceMs: z.number().int().min(0).max(3_600_000).default(180_000),
});

export interface Config {
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** An origin: scheme, host and port. */
  readonly publicUrl: string;
  readonly imageMap: ImageMap;
  readonly trustedProxies: readonly string[];
  readonly limits: Limits;
  readonly logLevel: z.infer<typeof fileSchema>["logLevel"];
  /** The built dashboard; undefined when there is none. */
  readonly webDir: string | undefined;
  /** install.sh and the agent's archives, as far as they are there. */
  readonly releaseDir: string | undefined;
  readonly heartbeatMs: number;
  readonly linkDeadlineMs: number;
  readonly reconnectGraceMs: number;
}

export interface ConfigSource {
  dataDir: string;
  /** Path of the JSON file, when one was named. */
  file?: string | undefined;
  /** Where the built dashboard lies unless the file says otherwise. */
  defaultWebDir?: string | undefined;
  /** Where the installer lies unless the file says otherwise; without either it is not there. */
  defaultReleaseDir?: string | undefined;
}

/** Throws with the field's name when something is wrong. */
export function loadConfig(source: ConfigSource): Config {
  const raw: unknown = source.file === undefined ? {} : readJson(source.file);
  return parseConfig(raw, source);
}

export function parseConfig(raw: unknown, source: ConfigSource): Config {
  const name = source.file ?? "configuration";
  const file = parse(fileSchema, raw, name);
  const base = source.file === undefined ? process.cwd() : resolve(source.file, "..");
  const loopback = isLoopbackHost(file.listen.host);
  if (!loopback && file.publicUrl?.startsWith("https://") !== true) {
    throw new Error(
      `${name}: listen.host ${file.listen.host} can be reached from other machines, so publicUrl must be set and start with https://`,
    );
  }
  const webDir = file.webDir === undefined ? source.defaultWebDir : resolve(base, file.webDir);
  return Object.freeze({
    dataDir: resolve(source.dataDir),
    listen: Object.freeze(file.listen),
    publicUrl: new URL(file.publicUrl ?? `http://${urlHost(file.listen.host)}:${file.listen.port}`).origin,
    imageMap: file.imageMap === undefined ? {} : loadImageMap(resolve(base, file.imageMap)),
    trustedProxies: Object.freeze(file.trustedProxies),
    limits: Object.freeze(file.limits),
    logLevel: file.logLevel,
    releaseDir: file.releaseDir === undefined ? source.defaultReleaseDir : resolve(base, file.releaseDir),
    webDir: webDir !== undefined && existsSync(join(webDir, "index.html")) ? webDir : undefined,
    heartbeatMs: file.heartbeatMs,
    linkDeadlineMs: file.linkDeadlineMs,
    reconnectGraceMs: file.reconnectGraceMs,
  });
}

export function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "");
  return bare === "localhost" || (ipaddr.isValid(bare) && ipaddr.process(bare).range() === "loopback");
}

function loadImageMap(file: string): ImageMap {
  return parse(imageMapSchema, readJson(file), file);
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function parse<T>(schema: z.ZodType<T>, raw: unknown, name: string): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || "file"}: ${issue.message}`);
  throw new Error(`${name}: ${problems.join("; ")}`);
}
