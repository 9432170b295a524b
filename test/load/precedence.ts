/** What is measured goes before whatever else this machine does, where we may say so. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { messageOf } from "@dflow/protocol";

/** Linux weighs sessions against each other by this file: "/autogroup-36009 nice 0". */
const FILE = "/proc/self/autogroup";
const PRECEDENCE = -15;

/**
 * Raises our whole session (this process, the product and its attackers alike, so that nothing changes between them)
 * over all others, and returns the way back. Without it a busy machine measures its other work. Only root may; what
 * comes back as `refusal` is then to be said beside the figures.
 */
export function takePrecedence(): { giveBack(): void; refusal: string | undefined } {
  if (!existsSync(FILE)) return { giveBack: () => undefined, refusal: "this kernel does not weigh sessions" };
  const before = / nice (-?\d+)/.exec(readFileSync(FILE, "utf8"))?.[1] ?? "0";
  try {
    writeFileSync(FILE, String(PRECEDENCE));
  } catch (error) {
    return { giveBack: () => undefined, refusal: `not allowed: ${messageOf(error)}` };
  }
  return { giveBack: () => writeFileSync(FILE, before), refusal: undefined };
}
