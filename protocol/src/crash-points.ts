/**
 * Crash points: the named places, before and after each thing that a process does to the world, where a test can make it
 * die as by kill -9. In a process that is not under such a test there is no `CrashPoint`, and nothing is wrapped.
 */

/** Passes a place. Does not return from the one that is armed. */
export type CrashPoint = (name: string) => void;

export interface CrashPointEffects {
  /** "NAME#N": die at the N-th passing of NAME from now on. `undefined`: pass all. */
  armed(): string | undefined;
  /** Writes down that the place was passed: of these lines the table of places is made. */
  note(name: string): void;
  /** Ends the process at once, without any of its own clean-up. */
  die(): void;
}

export function createCrashPoint({ armed, note, die }: CrashPointEffects): CrashPoint {
  let target: string | undefined;
  let passed = 0;
  return (name) => {
    note(name);
    const text = armed();
    if (text !== target) {
      target = text;
      passed = 0;
    }
    if (target === undefined) return;
    const at = target.lastIndexOf("#");
    if (target.slice(0, at) !== name) return;
    passed += 1;
    if (passed === Number(target.slice(at + 1))) die();
  };
}

/** "insert operation": what a write is called in the name of its place. `undefined` when the statement is no write. */
export function writeNameOf(sql: string): string | undefined {
  const [, verb, table] = /^\s*(insert|update|delete)(?:\s+or\s+\w+)?(?:\s+into|\s+from)?\s+"?(\w+)/i.exec(sql) ?? [];
  return verb === undefined ? undefined : `${verb.toLowerCase()} ${table}`;
}
