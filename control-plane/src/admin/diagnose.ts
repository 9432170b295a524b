/** What is wrong with a control plane and what to do about it: pure, from facts that gather-facts.ts has collected. */

export interface FileFacts {
  name: string;
  /** Permission bits; undefined when there is no such file. */
  mode: number | undefined;
  isOwn: boolean;
}

export interface Facts {
  now: number;
  dataDir: string;
  folders: FileFacts[];
  files: FileFacts[];
  /** Why the keys cannot be used; undefined when they can. */
  keysProblem: string | undefined;
  database:
    | { damage: string[]; migrated: boolean; unknownMigrations: string[]; sealedOpen: boolean | undefined }
    | undefined;
  disk: { freeBytes: number; databaseBytes: number };
  /** What /readyz said: a status, or why there was no answer. */
  ready: { url: string; status: number | undefined; problem: string | undefined };
  webDir: string | undefined;
  servers: { name: string; lastSeenAt: number | null; connectedAt: number | null }[];
  /** Time of the newest thing that was written down. */
  newestRowAt: number | null;
}

export interface Finding {
  level: "ok" | "warning" | "wrong";
  about: string;
  text: string;
  todo?: string;
}

const GIB = 1024 ** 3;
const LITTLE_SPACE_BYTES = GIB;
const NO_SPACE_BYTES = GIB / 10;
/** Last-seen is written every 30 s and a link is given up after 45 s of silence. */
const AWAY_AFTER_MS = 120_000;
const CLOCK_SLACK_MS = 60_000;

export function isWrong({ level }: Finding): boolean {
  return level === "wrong";
}

export function diagnose(facts: Facts): Finding[] {
  return [
    ...facts.folders.map((folder) => access(folder, 0o700)),
    ...facts.files.map((file) => access(file, 0o600)),
    keys(facts),
    ...database(facts),
    disk(facts),
    port(facts),
    dashboard(facts),
    ...servers(facts),
    clock(facts),
  ];
}

function access({ name, mode, isOwn }: FileFacts, wanted: number): Finding {
  const about = name;
  if (mode === undefined) {
    const todo = "Name the right folder with --data-dir, or restore a backup: dflow-admin restore.";
    return { level: "wrong", about, text: "is missing", todo };
  }
  if ((mode & 0o077) !== 0) {
    const octal = mode.toString(8).padStart(3, "0");
    const todo = `chmod ${wanted.toString(8)} ${name}`;
    return {
      level: "wrong",
      about,
      text: `can be read or changed by other users of this machine (mode ${octal})`,
      todo,
    };
  }
  if (!isOwn) {
    const todo = "Run dflow-admin as the user that runs the control plane.";
    return { level: "warning", about, text: "belongs to another user", todo };
  }
  return { level: "ok", about, text: "readable by its owner only" };
}

function keys({ keysProblem, database }: Facts): Finding {
  const about = "keys";
  const todo = "Restore the key files from a backup: no other key opens what is stored.";
  if (keysProblem !== undefined) return { level: "wrong", about, text: keysProblem, todo };
  if (database?.sealedOpen === false) {
    return { level: "wrong", about, text: "the sealing key is not the one that sealed the stored passwords", todo };
  }
  const text =
    database?.sealedOpen === true ? "in order; a stored password opens" : "in order; no password is stored yet";
  return { level: "ok", about, text };
}

function database({ database, ready }: Facts): Finding[] {
  const about = "database";
  if (database === undefined) {
    return [{ level: "wrong", about, text: "cannot be checked: it is missing or damaged (see above)" }];
  }
  const { damage, migrated, unknownMigrations } = database;
  if (damage.length > 0) {
    const todo = "Stop the control plane, keep a copy of the folder, and restore the newest good backup.";
    return [{ level: "wrong", about, text: `is damaged: ${damage.join("; ")}`, todo }];
  }
  const whole: Finding = { level: "ok", about, text: "whole (integrity_check)" };
  if (unknownMigrations.length > 0) {
    const text = `was written by a newer version (${unknownMigrations.join(", ")})`;
    return [whole, { level: "wrong", about: "migrations", text, todo: "Run that version, or a newer one." }];
  }
  if (!migrated) {
    const todo = ready.status === undefined ? "Start the control plane: it runs them." : "Restart the control plane.";
    return [whole, { level: "wrong", about: "migrations", text: "some were not run", todo }];
  }
  return [whole, { level: "ok", about: "migrations", text: "all were run" }];
}

function disk({ disk: { freeBytes, databaseBytes }, dataDir }: Facts): Finding {
  const about = "disk";
  const text = `${sizeText(freeBytes)} free where ${dataDir} lies; the database has ${sizeText(databaseBytes)}`;
  const todo = "Make room: when the disk is full, nothing is accepted any more.";
  if (freeBytes < NO_SPACE_BYTES) return { level: "wrong", about, text, todo };
  if (freeBytes < LITTLE_SPACE_BYTES) return { level: "warning", about, text, todo };
  return { level: "ok", about, text };
}

function port({ ready: { url, status, problem } }: Facts): Finding {
  const about = "control plane";
  if (status === 200) return { level: "ok", about, text: `answers at ${url}` };
  if (status === undefined) {
    const todo = "Start it, or name its configuration with --config when it listens elsewhere.";
    return { level: "wrong", about, text: `does not answer at ${url}: ${problem ?? "no reason known"}`, todo };
  }
  const todo = "Its log says why; a restart runs missing migrations.";
  return { level: "wrong", about, text: `${url} answers ${status} instead of 200`, todo };
}

function dashboard({ webDir }: Facts): Finding {
  const about = "dashboard";
  if (webDir !== undefined) return { level: "ok", about, text: `built, in ${webDir}` };
  return { level: "wrong", about, text: "is not built: browsers get 404", todo: "Run scripts/build, then restart." };
}

function servers({ servers, now, ready }: Facts): Finding[] {
  if (servers.length === 0) return [{ level: "ok", about: "servers", text: "none is enrolled yet" }];
  return servers.map(({ name, lastSeenAt, connectedAt }) => {
    const about = `server ${name}`;
    const todo = "On that server: is the agent running, and does it reach this control plane? Its log says.";
    if (lastSeenAt === null || connectedAt === null) {
      return { level: "warning", about, text: "was enrolled and never connected", todo };
    }
    const seen = new Date(lastSeenAt).toISOString();
    if (now - lastSeenAt <= AWAY_AFTER_MS) return { level: "ok", about, text: `last seen ${seen}` };
    const text = `unreachable since ${seen}`;
    if (ready.status === undefined) {
      return { level: "warning", about, text, todo: "The control plane is not running, so nothing can reach it." };
    }
    return { level: "wrong", about, text, todo };
  });
}

function clock({ now, newestRowAt }: Facts): Finding {
  const about = "clock";
  const text = `this machine's time is ${new Date(now).toISOString()}`;
  if (newestRowAt === null || newestRowAt <= now + CLOCK_SLACK_MS) return { level: "ok", about, text };
  return {
    level: "wrong",
    about,
    text: `${text}, but something was written down at ${new Date(newestRowAt).toISOString()}`,
    todo: "Set the clock (timedatectl) and keep it synchronised: sessions, keys and tokens end by it.",
  };
}

function sizeText(bytes: number): string {
  return bytes >= GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
