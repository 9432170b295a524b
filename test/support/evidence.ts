/** Places where a secret could have been left, each with its bytes: files, what Docker tells, processes. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { tryDocker } from "./docker-engine.ts";
import type { Sighting } from "./process-watch.ts";

export interface Place {
  name: string;
  bytes: Buffer;
  /** Of a file: who may read it. */
  mode?: number;
  uid?: number;
}

export interface FileOptions {
  /** Stands before the path in the place's name. */
  as: string;
  skip?: (path: string) => boolean;
  /** Milliseconds UTC: only files that were changed since. */
  changedSince?: number;
  largestBytes?: number;
}

/** Every regular file below a folder, on its own file system. What goes away while we look was no leftover. */
export function filesUnder(root: string, options: FileOptions): Place[] {
  const { as, skip = () => false, changedSince = 0, largestBytes = Number.POSITIVE_INFINITY } = options;
  const places: Place[] = [];
  const device = statSync(root).dev;
  const walk = (folder: string): void => {
    // Another test's engine may have mounted anything here, the kernel's own files among it.
    if (present(() => statSync(folder))?.dev !== device) return;
    for (const entry of present(() => readdirSync(folder, { withFileTypes: true })) ?? []) {
      const path = join(folder, entry.name);
      if (skip(path)) continue;
      if (entry.isDirectory()) walk(path);
      if (!entry.isFile()) continue;
      const stat = present(() => statSync(path));
      // Engines mount single files, too: a namespace of the network is one, and cannot be read.
      if (stat === undefined || stat.dev !== device || stat.mtimeMs < changedSince) continue;
      if (stat.size > largestBytes) continue;
      const bytes = present(() => readFileSync(path));
      if (bytes === undefined) continue;
      places.push({ name: `${as}/${relative(root, path)}`, bytes, mode: stat.mode & 0o777, uid: stat.uid });
    }
  };
  walk(root);
  return places;
}

export function folderModes(root: string, folders: readonly string[]): Record<string, string> {
  return Object.fromEntries(folders.map((name) => [name, (statSync(join(root, name)).mode & 0o777).toString(8)]));
}

function present<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR", "ESRCH"].includes(String(error.code))) {
      return undefined;
    }
    throw error;
  }
}

/** What Docker says and keeps of an agent's objects: inspect, logs, its own files, and the data in the volumes. */
export async function dockerPlaces(agentId: string): Promise<Place[]> {
  const filter = ["--filter", `label=sh.dflow.agent=${agentId}`];
  const list = async (...args: string[]) => (await said([...args, ...filter])).split("\n").filter(Boolean);
  const containers = await list("ps", "-aq", "--no-trunc");
  const volumes = await list("volume", "ls", "-q");
  const networks = await list("network", "ls", "-q");
  const places: Place[] = [];
  const inspect = async (kind: string, names: readonly string[]) => {
    for (const name of names) {
      places.push({ name: `docker ${kind} inspect`, bytes: Buffer.from(await said([kind, "inspect", name])) });
    }
  };
  await inspect("container", containers);
  await inspect("volume", volumes);
  await inspect("network", networks);
  const root = (await said(["info", "-f", "{{.DockerRootDir}}"])).trim();
  for (const id of containers) {
    await inspect("image", [(await said(["inspect", "-f", "{{.Image}}", id])).trim()]);
    places.push({ name: "docker logs", bytes: Buffer.from(await said(["logs", "--details", id])) });
    places.push({ name: "docker top with environment", bytes: Buffer.from(await said(["top", id, "auxeww"])) });
    places.push(...filesUnder(join(root, "containers", id), { as: "docker's own files of a container" }));
  }
  for (const name of volumes) {
    places.push(...filesUnder(join(root, "volumes", name), { as: "volume", largestBytes: 64 << 20 }));
  }
  return places;
}

export async function dockerEvents(sinceMs: number): Promise<Place> {
  const until = Math.ceil(Date.now() / 1_000) + 1;
  const args = ["events", "--since", String(Math.floor(sinceMs / 1_000)), "--until", String(until)];
  return { name: "docker events", bytes: Buffer.from(await said([...args, "--format", "{{json .}}"])) };
}

async function said(args: string[]): Promise<string> {
  const { stdout, stderr } = await tryDocker(args);
  return stdout + stderr;
}

/** One place a program and kind: a run sees thousands of processes of a few programs. */
export function processPlaces(sightings: readonly Sighting[]): Place[] {
  const texts = new Map<string, string[]>();
  const add = (name: string, text: string) => texts.set(name, [...(texts.get(name) ?? []), text]);
  for (const { argv, environ } of sightings) {
    const ofDatabase = /(^|\0)PGDATA=/.test(environ) ? "a database's " : "";
    const name = `${ofDatabase}${programOf(argv)}`;
    add(`argv of ${name}`, argv);
    add(`environment of ${name}`, environ);
  }
  return [...texts].map(([name, parts]) => ({ name, bytes: Buffer.from(parts.join("\n"), "latin1") }));
}

function programOf(argv: string): string {
  const [program = "", ...rest] = argv.split("\0");
  const name = basename(program).split(/[: ]/)[0] ?? "";
  const script = rest.find((part) => /\.(mjs|ts|sh)$/.test(part));
  return script === undefined ? name : `${name} ${basename(script)}`;
}
