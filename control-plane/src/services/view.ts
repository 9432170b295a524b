/** A service as the API shows it: state and allowed actions are computed here, from rows and the link. Pure. */
import {
  engineIdSchema,
  type GuardFacts,
  guard,
  type ImageMap,
  isTerminal,
  type Observation,
  observationSchema,
  type Role,
  type Service,
  serviceState,
} from "@dflow/protocol";
import type { LinkInfo } from "../agents/agents.ts";
import { resolveImage } from "../engines/catalogue.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import type { OperationRow } from "../operations/accept.ts";
import { lastCheckView, openOperationView } from "../operations/view.ts";
import type { ServiceRow } from "./store.ts";

export interface ServiceParts {
  row: ServiceRow;
  /** The newest operation of the service, open or not. */
  newest: OperationRow | undefined;
  newestCheck: OperationRow | undefined;
  link: LinkInfo;
  role: Role;
  imageMap: ImageMap;
}

export function serviceView({ row, newest, newestCheck, link, role, imageMap }: ServiceParts): Service {
  const open = newest !== undefined && !isTerminal(newest.state) ? newest : undefined;
  const image = resolveImage(row.engine, row.version, imageMap);
  const facts = guardFacts(row, open, link, role);
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    application: { id: row.application_id, name: row.application_name },
    environment: { id: row.environment_id, name: row.environment_name },
    server: {
      id: row.server_id,
      name: row.server_name,
      link: link.state,
      lastSeenAt: isoTimeOrNull(link.lastSeenAt),
    },
    name: row.name,
    type: row.type,
    engine: engineIdSchema.parse(row.engine),
    version: row.version,
    // A version that an image map had and has no more: what is running stays, a deploy is refused.
    image: image?.image ?? "",
    standIn: image?.standIn ?? false,
    memoryBytes: row.memory_bytes,
    outgoing: row.outgoing === 1,
    desired: row.desired,
    state: serviceState({
      observed: row.observed_state,
      desired: row.desired,
      openOperation: open?.kind,
      link: link.state,
      everDeployed: row.deployed_at !== null,
    }),
    observed: observationOf(row),
    observedAt: isoTimeOrNull(observedAt(row.observed_at, link)),
    exposure: row.exposure,
    deployedAt: isoTimeOrNull(row.deployed_at),
    openOperation: open === undefined ? null : openOperationView(open),
    lastOperation: newest === undefined ? null : openOperationView(newest),
    lastCheck: newestCheck === undefined ? null : lastCheckView(newestCheck),
    actions: {
      deploy: guard("deploy", facts),
      restart: guard("restart", facts),
      stop: guard("stop", facts),
      check: guard("check", facts),
      delete: guard("delete", facts),
      change: guard("change", facts),
      credentials: guard("credentials", facts),
      logs: guard("logs", facts),
    },
    createdAt: isoTime(row.created_at),
    revision: row.revision,
  };
}

export function guardFacts(
  row: ServiceRow,
  open: Pick<OperationRow, "id" | "kind"> | undefined,
  link: LinkInfo,
  role: Role,
): GuardFacts {
  return {
    role,
    observed: row.observed_state,
    volume: observationOf(row).volume,
    desired: row.desired,
    everDeployed: row.deployed_at !== null,
    openOperation: open === undefined ? undefined : { id: open.id, kind: open.kind },
    link: link.state,
    serverName: row.server_name,
  };
}

export function observationOf(row: Pick<ServiceRow, "observation" | "observed_state">): Observation {
  if (row.observation === null) return { state: row.observed_state, evidence: "not looked at yet", volume: "unknown" };
  return observationSchema.parse(JSON.parse(row.observation));
}

/** While the agent is online it confirms every reported state each time it looks at Docker. */
function observedAt(reportedAt: number | null, link: LinkInfo): number | null {
  if (reportedAt === null || link.state !== "online" || link.confirmedAt === null) return reportedAt;
  return Math.max(reportedAt, link.confirmedAt);
}
