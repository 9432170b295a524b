/**
 * A process that writes down argv and environment of every process of this machine, over and over, until its standard
 * input ends. Run by process-watch.ts. Usage: process-watcher.ts FILE. The last line says how often it looked.
 */
import { appendFileSync, readdirSync, readFileSync } from "node:fs";

const [file = ""] = process.argv.slice(2);
const known = new Map<string, string>();
let looks = 0;
let slowestMs = 0;
let lookedAt = performance.now();

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    // It ended between the two looks, or is one of the kernel's own.
    if (error instanceof Error && "code" in error && ["ENOENT", "ESRCH", "EACCES"].includes(String(error.code)))
      return "";
    throw error;
  }
}

function look(): void {
  const now = performance.now();
  if (looks > 0) slowestMs = Math.max(slowestMs, now - lookedAt);
  lookedAt = now;
  looks += 1;
  const there = new Set<string>();
  let lines = "";
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    there.add(pid);
    const argv = read(`/proc/${pid}/cmdline`);
    // Another program in the same process (exec) has another command line, and may have another environment.
    if (argv === "" || known.get(pid) === argv) continue;
    known.set(pid, argv);
    lines += `${JSON.stringify({ pid, argv, environ: read(`/proc/${pid}/environ`) })}\n`;
  }
  for (const pid of known.keys()) if (!there.has(pid)) known.delete(pid);
  if (lines !== "") appendFileSync(file, lines, { mode: 0o600 });
}

const timer = setInterval(look, 2);
process.stdin.resume();
process.stdin.once("end", () => {
  clearInterval(timer);
  appendFileSync(file, `${JSON.stringify({ looks, slowestMs: Math.round(slowestMs) })}\n`);
});
