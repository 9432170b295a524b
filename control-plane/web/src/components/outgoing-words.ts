/** Whether a service may reach the outside, and whether its container is as it was set. Pure. */
import type { Service } from "@dflow/protocol";

export interface OutgoingWords {
  value: "On" | "Off";
  /** Set while the container is otherwise than its service. */
  pending: string | undefined;
}

export function outgoingWords({ outgoing, observed }: Pick<Service, "outgoing" | "observed">): OutgoingWords {
  const value = outgoing ? "On" : "Off";
  if (observed.outgoing === undefined || observed.outgoing === outgoing) return { value, pending: undefined };
  const now = outgoing ? "Its container has none yet." : "Its container still has it.";
  return { value, pending: `${now} Applies at the next Restart.` };
}

export const OUTGOING_HELP =
  "Off: it reaches the other services of its environment and nothing on the internet. Switch it on for what has to reach out: subscriptions, foreign tables, downloads.";
