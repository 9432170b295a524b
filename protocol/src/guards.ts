/** The guard table: whether an action may be taken on a service now, and the sentence that says why not. */
import { z } from "zod";
import type { ErrorCode } from "./errors.ts";
import { hasRight, missingRightSentence, type Right, type Role } from "./roles.ts";
import type { DesiredState, LinkState, ObservedState, OperationKind } from "./states.ts";
import { OPEN_OPERATION_LABELS } from "./states.ts";

export const serviceActionSchema = z.enum([
  "deploy",
  "restart",
  "stop",
  "check",
  "delete",
  "change",
  "credentials",
  "logs",
]);
export type ServiceAction = z.infer<typeof serviceActionSchema>;
export const SERVICE_ACTIONS: readonly ServiceAction[] = serviceActionSchema.options;

export interface GuardFacts {
  role: Role;
  observed: ObservedState;
  /** Whether the agent saw the data volume of an earlier successful deploy. */
  volume: "present" | "absent" | "unknown";
  desired: DesiredState;
  everDeployed: boolean;
  openOperation: { id: string; kind: OperationKind } | undefined;
  link: LinkState;
  serverName: string;
}

export const guardVerdictSchema = z.object({
  verdict: z.enum(["allowed", "hidden", "refused"]),
  code: z.string().optional(),
  sentence: z.string().optional().describe("Why not, for a tooltip and for the API's `detail`"),
  remedy: z
    .object({ label: z.string(), action: z.enum(["deploy", "restart", "stop", "delete", "operation", "server"]) })
    .optional()
    .describe("What would make it possible, as a link"),
});
export interface GuardVerdict {
  verdict: "allowed" | "hidden" | "refused";
  code?: ErrorCode;
  sentence?: string;
  remedy?: { label: string; action: "deploy" | "restart" | "stop" | "delete" | "operation" | "server" };
}

const RIGHT_OF: Record<ServiceAction, { right: Right; words: string }> = {
  deploy: { right: "services.operate", words: "deploy services" },
  restart: { right: "services.operate", words: "restart services" },
  stop: { right: "services.operate", words: "stop services" },
  check: { right: "services.operate", words: "check services" },
  delete: { right: "services.write", words: "delete services" },
  change: { right: "services.write", words: "change services" },
  credentials: { right: "credentials.read", words: "see credentials" },
  logs: { right: "logs.read", words: "read logs" },
};

const DOING = { restart: "restarting", stop: "stopping", check: "checking" } as const;

/** Why nothing can be asked of a server that is not online. */
function awaySentence(link: LinkState, serverName: string): string {
  if (link === "never_connected") return `Server ${serverName} has not connected yet.`;
  if (link === "reconnecting") {
    return `Server ${serverName} has not reconnected yet: the control plane has just started.`;
  }
  return `Server ${serverName} cannot be reached at the moment.`;
}

const ALLOWED: GuardVerdict = { verdict: "allowed" };

/** The verdict for one action. Order matters: right, then what is open, then what was deployed, then the server. */
export function guard(action: ServiceAction, facts: GuardFacts): GuardVerdict {
  const needed = RIGHT_OF[action];
  const deployHidden = action === "deploy" && facts.everDeployed && !isDataGone(facts);
  if (deployHidden) {
    return {
      verdict: "hidden",
      code: "already_deployed",
      sentence: "This database has been deployed already. Use Restart or Stop; its data stays as it is.",
    };
  }
  if (!hasRight(facts.role, needed.right)) {
    return { verdict: "refused", code: "forbidden", sentence: missingRightSentence(facts.role, needed.words) };
  }
  if (action === "logs") return guardLogs(facts);
  if (action === "credentials") {
    return facts.everDeployed
      ? ALLOWED
      : {
          verdict: "hidden",
          code: "not_deployed",
          sentence: "Credentials appear after the first successful deployment.",
          remedy: { label: "Deploy", action: "deploy" },
        };
  }
  if (facts.openOperation !== undefined) {
    const label = OPEN_OPERATION_LABELS[facts.openOperation.kind];
    return {
      verdict: "refused",
      code: "operation_open",
      sentence: `${label} is still running. Wait until it has ended.`,
      remedy: { label: "Show it", action: "operation" },
    };
  }
  if (facts.link === "quarantined" && action !== "change") return quarantinedVerdict(facts.serverName);
  // A change is of the control plane's own row; the server hears of it with the next Deploy or Restart.
  if (action === "delete" || action === "change") return ALLOWED;
  if (action !== "deploy" && !facts.everDeployed) {
    return {
      verdict: "refused",
      code: "not_deployed",
      sentence: `Please deploy the service before ${DOING[action]}.`,
      remedy: { label: "Deploy", action: "deploy" },
    };
  }
  if (facts.link !== "online") {
    return {
      verdict: "refused",
      code: "server_unreachable",
      sentence: awaySentence(facts.link, facts.serverName),
      remedy: { label: "Show the server", action: "server" },
    };
  }
  if (action === "restart" && facts.volume === "absent") {
    return {
      verdict: "refused",
      code: "data_missing",
      sentence: "The data volume of this database no longer exists on the server. Deploy it anew, or delete it.",
      remedy: { label: "Delete", action: "delete" },
    };
  }
  if (action === "stop" && facts.observed === "exited" && facts.desired === "stopped") {
    return {
      verdict: "refused",
      code: "already_stopped",
      sentence: "It is stopped already. Restart starts it again.",
      remedy: { label: "Restart", action: "restart" },
    };
  }
  if (action === "check" && facts.observed !== "running" && facts.observed !== "unhealthy") {
    return {
      verdict: "refused",
      code: "not_running",
      sentence: "Only a database that runs can be checked. Restart starts it.",
      remedy: { label: "Restart", action: "restart" },
    };
  }
  return ALLOWED;
}

/** Container and data volume of a succeeded deploy are both gone: only then may a database be deployed again. */
export function isDataGone(facts: Pick<GuardFacts, "observed" | "volume">): boolean {
  return (facts.observed === "missing" || facts.observed === "not_deployed") && facts.volume === "absent";
}

function quarantinedVerdict(serverName: string): GuardVerdict {
  return {
    verdict: "refused",
    code: "server_quarantined",
    sentence: `Server ${serverName} is quarantined: two machines use its identity. Re-key the one to keep.`,
    remedy: { label: "Show the server", action: "server" },
  };
}

function guardLogs(facts: GuardFacts): GuardVerdict {
  if (facts.link === "quarantined") return quarantinedVerdict(facts.serverName);
  if (facts.link !== "online") {
    return {
      verdict: "refused",
      code: "server_unreachable",
      sentence: `Logs are read live from the server. ${awaySentence(facts.link, facts.serverName)}`,
      remedy: { label: "Show the server", action: "server" },
    };
  }
  if (facts.observed === "not_deployed" && facts.openOperation === undefined) {
    return {
      verdict: "refused",
      code: "log_unavailable",
      sentence: "There is no container to read logs from yet.",
      remedy: { label: "Deploy", action: "deploy" },
    };
  }
  return ALLOWED;
}
