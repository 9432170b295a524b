/**
 * One real run of the whole product in which every kind of secret comes to be and is used: what they were, and every
 * place that one could have been left in.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram } from "./docker-engine.ts";
import { dockerEvents, dockerPlaces, filesUnder, folderModes, type Place, processPlaces } from "./evidence.ts";
import { startProcessWatch, type Watched } from "./process-watch.ts";
import { startProduct } from "./product.ts";
import { createRecorder } from "./recorded-http.ts";
import { fieldOf, knowKeys, knowToken, type Run } from "./secret-known.ts";
import {
  atTheHost,
  inTheBrowser,
  keysAndInvitations,
  lifeOfADatabase,
  readEverything,
  signInAndOut,
} from "./secret-scenes.ts";
import type { Secret } from "./secret-search.ts";
import { byQuickstart, installedByALine } from "./secret-servers.ts";
import { startSystemdMachine } from "./systemd-machine.ts";

export interface Evidence {
  secrets: Secret[];
  places: Place[];
  watched: Watched;
  /** Folder → its mode in octal. */
  folders: Record<string, string>;
  remove(): Promise<void>;
}

interface Stage {
  beganMs: number;
  installedDir: string;
  quickstartHome: string;
}

export async function runWithSecrets(): Promise<Evidence> {
  const stage: Stage = {
    beganMs: Date.now(),
    // Not in /tmp, of which the installed service has one of its own.
    installedDir: mkdtempSync("/var/lib/dflow-test-secrets-"),
    quickstartHome: mkdtempSync(join(tmpdir(), "dflow-test-quick-")),
  };
  const undo: Run["undo"] = [];
  const remove = async () => {
    for (const step of undo.splice(0).reverse()) await step();
    for (const folder of [stage.installedDir, stage.quickstartHome]) rmSync(folder, { recursive: true, force: true });
  };
  const watch = await startProcessWatch();
  undo.push(async () => {
    await watch.stop();
  });
  try {
    const secrets: Secret[] = [];
    const run = await play(stage, undo, (kind, ...texts) => secrets.push(...texts.map((text) => ({ kind, text }))));
    await gather(run, stage);
    const watched = await watch.stop();
    run.places.push(...processPlaces(watched.sightings));
    return { secrets, places: run.places, watched, folders: foldersOf(run, stage), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function play(stage: Stage, undo: Run["undo"], know: Run["know"]): Promise<Run> {
  const product = await startProduct({ agentConfig: { logLevel: "debug" }, controlPlaneConfig: { logLevel: "trace" } });
  undo.push(() => product.stop());
  const run: Run = { product, http: createRecorder(product.url), places: [], know, undo };
  const { login, home } = product;
  know("password", login.password);
  know("API key", login.apiKey);
  knowToken(run, readFileSync(join(home, "token"), "utf8"));
  const events = run.http.follow(`/api/v1/events?workspaceId=${login.workspaceId}`, login.apiKey);

  await plant(run);
  const serviceId = await lifeOfADatabase(run);
  await signInAndOut(run);
  await keysAndInvitations(run);
  await atTheHost(run);
  await inTheBrowser(run, serviceId);
  const machine = await startSystemdMachine(stage.installedDir);
  undo.push(() => machine.remove());
  await installedByALine(run, machine, stage.installedDir);
  await byQuickstart(run, stage.quickstartHome);
  await readEverything(run, serviceId);
  await events();

  knowKeys(run, join(home, "control-plane/keys"), join(home, "agent/key.json"));
  // Also of the database that never came up, whose credentials nobody is given.
  const passwordFiles = filesUnder(join(home, "agent/services"), { as: "" });
  know("database password", ...passwordFiles.map(({ bytes }) => bytes.toString()));
  know("agent's key", fieldOf(join(stage.installedDir, "key.json"), "d"));
  return run;
}

/** A leak on purpose, in a process of a second: if it is not found, neither would another one be. */
async function plant({ know }: Run): Promise<void> {
  const [argument, variable] = [0, 1].map(() => randomBytes(24).toString("base64url")) as [string, string];
  know("planted", argument, variable);
  await runProgram("sh", ["-c", "sleep 1", argument], { env: { PLANTED: variable } });
}

/** While everything still runs: the databases' write-ahead logs are there. */
async function gather({ product, http, places }: Run, stage: Stage): Promise<void> {
  const { beganMs, installedDir, quickstartHome } = stage;
  places.push(...http.places);
  places.push(...filesUnder(product.home, { as: "home" }));
  places.push(...filesUnder(installedDir, { as: "installed agent" }));
  places.push(...filesUnder(quickstartHome, { as: "quickstart" }));
  for (const id of [product.serverId, fieldOf(join(installedDir, "agent.json"), "agentId")]) {
    places.push(...(await dockerPlaces(id)));
  }
  places.push(await dockerEvents(beganMs));
  const skip = (path: string) => [product.home, quickstartHome].includes(path) || /\/dflow-watch-[^/]*$/.test(path);
  for (const folder of [tmpdir(), "/dev/shm", "/var/log"]) {
    places.push(...filesUnder(folder, { as: folder, skip, changedSince: beganMs, largestBytes: 16 << 20 }));
  }
}

function foldersOf({ product: { home } }: Run, { installedDir, quickstartHome }: Stage): Record<string, string> {
  const [service = ""] = filesUnder(join(home, "agent/services"), { as: "agent/services" })
    .filter(({ name }) => name.endsWith("/secrets/postgres_password"))
    .map(({ name }) => name.replace(/\/secrets\/.*/, ""));
  const agentFolders = ["agent", "agent/services", service, `${service}/secrets`];
  return {
    ...folderModes(home, ["control-plane", "control-plane/keys", "backup", "backup/keys", ...agentFolders]),
    ...folderModes(quickstartHome, [".", "logs", "run", "control-plane", "agent"]),
    ...folderModes(installedDir, ["", "services"]),
  };
}
