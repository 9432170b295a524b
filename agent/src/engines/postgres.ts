/** PostgreSQL 15 to 18 in the official image's contract. */
import { AppError, databaseName } from "@dflow/protocol";
import { type Engine, SECRETS_TARGET } from "./engine.ts";

const MIB = 1024 * 1024;
/** One layout for all majors: the volume one level above the data, so that an upgrade can link instead of copy. */
const VOLUME_TARGET = "/var/lib/postgresql";
/** Images up to 17 declare a volume here, which would be left behind, anonymous, by every container. */
const DECLARED_VOLUME = "/var/lib/postgresql/data";

/**
 * During init PID 1 is a shell and a temporary server listens on the socket only, so both are asked for: the daemon as
 * PID 1, and an answer over TCP. Then, over the socket, who this database is. Exit codes tell the reasons apart.
 */
const PROBE = [
  "read -r daemon </proc/1/comm",
  '[ "$daemon" = postgres ] || exit 10',
  'pg_isready -q -h 127.0.0.1 -p 5432 -U postgres -d "$1" || exit 11',
  "psql -X -A -t -q -U postgres -d postgres -c 'select system_identifier from pg_control_system()' || exit 12",
  "stat -c '%u %g' /proc/1",
].join("\n");

/**
 * The password goes from its file into one that the client takes, in memory and for its user only: never into an
 * argument or the environment, which others may read. $1 is the host, $2 the database.
 */
const CHECK = [
  "set -e",
  "umask 077",
  `{ printf '*:*:*:*:'; sed 's/[\\\\:]/\\\\&/g' ${SECRETS_TARGET}/postgres_password; echo; } >/dev/shm/passwords`,
  "exec pg_dump --no-password --file=/dev/null" +
    ' "host=$1 port=5432 user=postgres dbname=$2 passfile=/dev/shm/passwords connect_timeout=20"',
].join("\n");

function majorOf(version: string): number {
  const major = Number.parseInt(version, 10);
  if (Number.isNaN(major)) throw new AppError("unknown_version", `"${version}" is not a version of Postgres`);
  return major;
}

export const postgres: Engine = {
  id: "postgres",
  daemon: "postgres",
  secretFiles: { password: "postgres_password" },
  majorOf,

  container({ name, version }) {
    const major = majorOf(version);
    return {
      env: {
        POSTGRES_DB: databaseName(name),
        POSTGRES_PASSWORD_FILE: `${SECRETS_TARGET}/postgres_password`,
        PGDATA: `${VOLUME_TARGET}/${major}/docker`,
      },
      dataTarget: VOLUME_TARGET,
      // 18 refuses to start when anything is mounted there.
      tmpfs: major >= 18 ? [] : [{ target: DECLARED_VOLUME, sizeBytes: 64 * 1024 }],
      // Docker's 64 MiB are too few for parallel queries and index builds; only what is used counts.
      shmBytes: 256 * MIB,
      pidsLimit: 4_096,
      // The entrypoint starts as root, owns the folders over to the database's user, and becomes that user.
      capabilities: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
      health: {
        // Existing user and database: a wrong one would be answered as well, but logged each time.
        command: ["pg_isready", "-q", "-h", "127.0.0.1", "-p", "5432", "-U", "postgres", "-d", databaseName(name)],
        intervalMs: 10_000,
        timeoutMs: 5_000,
        retries: 5,
        startPeriodMs: 600_000,
      },
      // Fast shutdown: sessions are ended, data is written.
      stopSignal: "SIGINT",
      stopGraceMs: 120_000,
    };
  },

  probe: ({ name }) => ({ command: ["sh", "-c", PROBE, "probe", databaseName(name)], user: "postgres" }),

  readProbe({ exitCode, stdout }) {
    if (exitCode !== 0) return undefined;
    const match = /^(\d+)\n(\d+) (\d+)\s*$/.exec(stdout);
    if (match === null) return undefined;
    const [, identity = "", uid, gid] = match;
    return { identity, owner: { uid: Number(uid), gid: Number(gid) } };
  },

  check: ({ name, version }) => ({
    command: ["sh", "-c", CHECK, "check", name, databaseName(name)],
    covered: [majorOf(version) >= 18 ? VOLUME_TARGET : DECLARED_VOLUME],
  }),
};
