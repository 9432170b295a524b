/** One fsync for all who wrote meanwhile: while one is under way, everybody else waits for the next. */

export interface SharedSync {
  /** Resolves when all that was written before this call is on the disk. Rejects when that cannot be said. */
  synced(): Promise<void>;
}

/** `sync` is never run twice at the same time. */
export function createSharedSync(sync: () => Promise<void>): SharedSync {
  let isRunning = false;
  let waiting: PromiseWithResolvers<void> | undefined;

  const run = (batch: PromiseWithResolvers<void>): void => {
    isRunning = true;
    waiting = undefined;
    sync().then(
      () => {
        isRunning = false;
        batch.resolve();
        if (waiting !== undefined) run(waiting);
      },
      // After one that failed the kernel forgets what it could not write, and the next would succeed with a hole: so there
      // is no next, and whoever waits hears of the failure.
      (error: unknown) => {
        sync = () => Promise.reject(error);
        isRunning = false;
        batch.reject(error);
        if (waiting !== undefined) run(waiting);
      },
    );
  };

  return {
    synced() {
      // One that is under way may have begun before this write.
      waiting ??= Promise.withResolvers();
      const batch = waiting;
      if (!isRunning) run(batch);
      return batch.promise;
    },
  };
}
