/** Opens what cannot be opened on a full disk, as soon as it can: a machine whose disk was full needs nobody to start it. */
import { type AppError, isAppError } from "./errors.ts";

export interface RoomEffects {
  pause(ms: number): Promise<void>;
  /** Called at first and then once a minute. */
  tell(full: AppError): void;
}

const RETRY_MS = 1_000;
const TELL_EVERY = 60;

/** Tries again on `disk_full`, for as long as it takes. Any other error is thrown. */
export async function whenThereIsRoom<T>({ pause, tell }: RoomEffects, open: () => T | Promise<T>): Promise<T> {
  for (let tried = 0; ; tried += 1) {
    try {
      return await open();
    } catch (error) {
      if (!isAppError(error) || error.code !== "disk_full") throw error;
      if (tried % TELL_EVERY === 0) tell(error);
      await pause(RETRY_MS);
    }
  }
}
