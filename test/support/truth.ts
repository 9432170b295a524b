/** Whether API, control plane, journal and Docker tell the same of a product's services; sentences where they do not. */
import { type Allowed, compare, type Disagreement } from "./truth-rules.ts";
import { gather, type Scope, type Witnessed } from "./witnesses.ts";

export type TruthOptions = Pick<Scope, "sinceMs"> & Allowed;

/** Empty when all agree at this moment. While something is under way they may well not: then `agreeWithin` waits. */
export async function disagreements(
  product: Witnessed,
  serviceIds: readonly string[],
  options: TruthOptions = {},
): Promise<string[]> {
  return (await look(product, serviceIds, options)).map(({ sentence }) => sentence);
}

/** Waits until no witness contradicts another, and says how many milliseconds that took; throws with the last list. */
export async function agreeWithin(
  product: Witnessed,
  serviceIds: readonly string[],
  timeoutMs: number,
  options: TruthOptions = {},
): Promise<number> {
  const beganMs = performance.now();
  let asked = serviceIds;
  for (;;) {
    const found = await look(product, asked, options);
    const tookMs = performance.now() - beganMs;
    if (found.length === 0 && asked === serviceIds) return tookMs;
    if (tookMs > timeoutMs) {
      const all = asked === serviceIds ? found : await look(product, serviceIds, options);
      if (all.length === 0)
        throw new Error(`the witnesses agree only after ${Math.round(tookMs)} ms, not ${timeoutMs}`);
      throw new Error(
        `the witnesses disagree after ${timeoutMs} ms:\n${all.map(({ sentence }) => `  - ${sentence}`).join("\n")}`,
      );
    }
    // Only those that disagreed are asked again, for the API's rate limit; when they agree, all are once more.
    const ids = [...new Set(found.flatMap(({ serviceId }) => (serviceId === undefined ? [] : [serviceId])))];
    asked = found.length === 0 ? serviceIds : ids;
    if (found.length > 0) await new Promise((done) => setTimeout(done, 250 + ids.length * 50));
  }
}

async function look(product: Witnessed, serviceIds: readonly string[], options: TruthOptions): Promise<Disagreement[]> {
  const { sinceMs, ...allowed } = options;
  const facts = await gather(product, { serviceIds, ...(sinceMs === undefined ? {} : { sinceMs }) });
  return compare(facts, allowed);
}
