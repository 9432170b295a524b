/** One run of a process, from its start to its end. After its end nothing that it begins comes to anything. */
import type { CrashPoint } from "@dflow/protocol";
import type { Cancel, World } from "./world.ts";

/** What a process is told that was killed: thrown at the place where it died, and wherever it still tries to act. */
export class Killed extends Error {
  override name = "Killed";
}

export interface Life {
  readonly name: string;
  isAlive(): boolean;
  /** Passes a place where it may die. */
  crashPoint: CrashPoint;
  /** Dies at the n-th place from now. */
  dieAtPlace(n: number): void;
  /** kill -9. */
  kill(why: string): void;
  /** Runs a piece of it, unless it is dead; whatever it throws but its own death is a violation. */
  run(what: string, piece: () => void): void;
  after(delayMs: number, task: () => void): Cancel;
  /** Called once, when it dies. */
  onDeath(task: () => void): void;
}

export function createLife(world: World, name: string): Life {
  let alive = true;
  let left = Number.POSITIVE_INFINITY;
  const mourners: (() => void)[] = [];

  const kill = (why: string): void => {
    if (!alive) return;
    alive = false;
    world.note(`${name} dies: ${why}`);
    for (const task of mourners) task();
  };
  const run = (what: string, piece: () => void): void => {
    if (!alive) return;
    try {
      piece();
    } catch (error) {
      if (!(error instanceof Killed)) world.wrong(`${name}, ${what}: ${error instanceof Error ? error.stack : error}`);
    }
  };
  return {
    name,
    isAlive: () => alive,
    crashPoint(place) {
      if (!alive) throw new Killed(place);
      left -= 1;
      if (left > 0) return;
      kill(place);
      throw new Killed(place);
    },
    dieAtPlace(n) {
      left = n;
    },
    kill,
    run,
    after: (delayMs, task) => world.after(delayMs, () => run("a timer", task)),
    onDeath: (task) => void mourners.push(task),
  };
}
