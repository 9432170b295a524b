/** Puts a crash point before each Docker call, file write and journal write, and one after each that changes something. */
import { basename } from "node:path";
import { type CrashPoint, writeNameOf } from "@dflow/protocol";
import type { Clock, Files } from "./deps.ts";
import type { Docker } from "./docker/docker.ts";
import type { Database } from "./journal/database.ts";

/** They change nothing: to die after one is to die before the next. Whatever is not in this list counts as a change. */
const DOCKER_READS: readonly (keyof Docker)[] = [
  "version",
  "findImage",
  "listNetworks",
  "listVolumes",
  "findVolume",
  "listContainers",
  "findContainer",
  "runInside",
  "openLogs",
  "openEvents",
];

/** "docker.createContainer before", "docker.createContainer during" and "… after", "docker.listVolumes before". */
export function dockerWithCrashPoints(docker: Docker, clock: Clock, crashPoint: CrashPoint): Docker {
  return new Proxy(docker, {
    get(target, verb: keyof Docker & string) {
      const call = target[verb] as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        crashPoint(`docker.${verb} before`);
        if (DOCKER_READS.includes(verb)) return call.apply(target, args);
        const answer = call.apply(target, args);
        // By then the request has left, and its answer, as a rule, has not come.
        const cancel = clock.after(2, () => crashPoint(`docker.${verb} during`));
        try {
          return await answer;
        } finally {
          cancel();
          crashPoint(`docker.${verb} after`);
        }
      };
    },
  });
}

const ID = /^[0-9a-f-]{36}$/;

/** "file password write before": a file is told by its name, not by its folder; a folder named by an id is "ID". */
export function filesWithCrashPoints(files: Files, crashPoint: CrashPoint): Files {
  const around = (path: string, verb: string, work: () => void) => {
    const name = `file ${basename(path).replace(ID, "ID")} ${verb}`;
    crashPoint(`${name} before`);
    work();
    crashPoint(`${name} after`);
  };
  return {
    ...files,
    writeDurably: (path, text, mode) => around(path, "write", () => files.writeDurably(path, text, mode)),
    makeFolder: (path, mode) => around(path, "make", () => files.makeFolder(path, mode)),
    remove: (path) => around(path, "remove", () => files.remove(path)),
    rename: (from, to) => around(to, "rename", () => files.rename(from, to)),
  };
}

/** "journal insert services before"; of a transaction only its commit counts: "journal commit(insert operations) after". */
export function databaseWithCrashPoints(database: Database, crashPoint: CrashPoint): Database {
  let written: string[] | undefined;
  return {
    ...database,
    run(sql, ...values) {
      const name = writeNameOf(sql) ?? sql;
      if (written !== undefined) {
        database.run(sql, ...values);
        if (!written.includes(name)) written.push(name);
        return;
      }
      crashPoint(`journal ${name} before`);
      database.run(sql, ...values);
      crashPoint(`journal ${name} after`);
    },
    transaction(work) {
      if (written !== undefined) return work();
      const names: string[] = [];
      written = names;
      const name = () => `journal commit(${names.join(", ")})`;
      try {
        const result = database.transaction(() => {
          const worked = work();
          crashPoint(`${name()} before`);
          return worked;
        });
        crashPoint(`${name()} after`);
        return result;
      } finally {
        written = undefined;
      }
    },
  };
}
