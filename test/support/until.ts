/**
 * The wait of every test that crosses processes: looks again until there is an answer that is neither `undefined` nor
 * `false`; after the deadline it throws with the name of what never came.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    // Slow enough to stay under the API's own rate limit for minutes on end.
    await new Promise((done) => setTimeout(done, 150));
  }
}
