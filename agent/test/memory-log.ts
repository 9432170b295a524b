/** A process log that tests can read. */
import type { Log } from "../src/deps.ts";

export interface MemoryLog extends Log {
  entries: { level: string; message: string; fields: object }[];
}

export function createMemoryLog(): MemoryLog {
  const entries: MemoryLog["entries"] = [];
  const at = (level: string) => (fields: object, message: string) => void entries.push({ level, message, fields });
  return { entries, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
