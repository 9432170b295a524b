/** What the scenes of a run with secrets share: the product, what is known to be secret, and where to look for it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Credentials, Operation } from "@dflow/protocol";
import type { Place } from "./evidence.ts";
import { imageMap, type Product } from "./product.ts";
import type { Recorder } from "./recorded-http.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface Run {
  product: Product;
  http: Recorder;
  places: Place[];
  /** From now on these texts are secrets of that kind. */
  know(kind: string, ...texts: string[]): void;
  /** To be undone at the end, the last first. */
  undo: (() => Promise<void> | void)[];
}

/** POSTs with the admin's key; throws unless it was taken. */
export async function make<T = { id: string }>({ product, http }: Run, path: string, body?: unknown): Promise<T> {
  const answer = await http.send("POST", `/api/v1${path}`, { key: product.login.apiKey, body });
  if (answer.status >= 300) throw new Error(`POST ${path}: ${answer.status}: ${answer.text}`);
  return answer.json as T;
}

/** An application and an environment of that name on a server; the environment's id. */
export async function makeEnvironment(run: Run, name: string, serverId: string): Promise<string> {
  const application = await make(run, `/workspaces/${run.product.login.workspaceId}/applications`, { name });
  return (await make(run, `/applications/${application.id}/environments`, { name: "production", serverId })).id;
}

/** A Postgres of a version that this machine has an image of, or of the one named. */
export async function makeDatabase(run: Run, environmentId: string, name: string, version?: string): Promise<string> {
  const had = Object.keys(imageMap().postgres ?? {}).sort();
  const chosen = version ?? (had.includes("18") ? undefined : had.at(-1));
  const body = { type: "database", engine: "postgres", name, ...(chosen !== undefined && { version: chosen }) };
  return (await make(run, `/environments/${environmentId}/services`, body)).id;
}

export async function act(
  run: Run,
  serviceId: string,
  action: "deploy" | "restart" | "check",
  state: Operation["state"],
): Promise<void> {
  const { id } = await make(run, `/services/${serviceId}/${action}`);
  const ended = await run.product.ended(id);
  if (ended.state !== state) throw new Error(`${action}: ${ended.state}, not ${state}`);
}

export async function credentialsOf({ product, http, know }: Run, serviceId: string): Promise<Credentials> {
  const { json } = await http.send("GET", `/api/v1/services/${serviceId}/credentials`, { key: product.login.apiKey });
  const credentials = json as unknown as Credentials;
  know("database password", credentials.password, credentials.uri);
  return credentials;
}

/** What a sign-in gives a browser. Of the session's value either part, token and signature, is looked for alone too. */
export function knowCookies({ know }: Run, cookies: string): void {
  const values = new Map(cookies.split("; ").map((pair) => [pair.split("=", 1)[0], pair.slice(pair.indexOf("=") + 1)]));
  const session = decodeURIComponent(values.get("dflow.session_token") ?? "");
  const [token = "", signature = ""] = session.split(".");
  if (token.length < 32 || signature.length < 40) throw new Error("there is no session among the cookies");
  know("session", session, token, signature);
  const mark = values.get("dflow.device");
  if (mark !== undefined) know("device mark", mark);
}

/** The token, its secret part, and the MAC key that the control plane keeps of it. */
export function knowToken({ know }: Run, text: string): void {
  const secret = text.split(".")[2] ?? "";
  know("enrolment token", text.trim(), secret);
  know("enrolment MAC key", createHash("sha256").update(secret).digest("base64url"));
}

export function knowKeys({ know }: Run, keys: string, agentKey: string): void {
  know("signing key", fieldOf(join(keys, "signing.json"), "d"));
  know("sealing key", fieldOf(join(keys, "sealing.json"), "key"));
  know("session key", fieldOf(join(keys, "session.json"), "secret"));
  know("agent's key", fieldOf(agentKey, "d"));
}

export function fieldOf(file: string, name: string): string {
  const value = (JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>)[name];
  if (typeof value !== "string") throw new Error(`${file} has no ${name}`);
  return value;
}
