/** Knows when no signature is being made or checked: they are the one thing of a run that other threads work on. */

const VERBS = ["sign", "verify", "importKey", "exportKey", "digest", "encrypt", "decrypt"] as const;

let pending = 0;
let waiting: (() => void)[] = [];

const prototype = Object.getPrototypeOf(crypto.subtle) as Record<string, (...args: unknown[]) => Promise<unknown>>;
for (const verb of VERBS) {
  const original = prototype[verb];
  if (original === undefined) throw new Error(`there is no crypto.subtle.${verb}`);
  prototype[verb] = function counted(...args) {
    pending += 1;
    return original.apply(this, args).finally(() => {
      pending -= 1;
      if (pending > 0) return;
      for (const wake of waiting) wake();
      waiting = [];
    });
  };
}

/** Resolves when all is quiet; what a signature's owner does next may begin another one, which is waited for too. */
export async function cryptoAtRest(): Promise<void> {
  while (pending > 0) {
    await new Promise<void>((wake) => waiting.push(wake));
    await new Promise((done) => setImmediate(done));
  }
}
