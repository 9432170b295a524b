/** Brings back what should run when Docker itself was away. Starts, never removes, and proves what Docker started too. */
import { messageOf } from "@dflow/protocol";
import type { Cancel } from "../deps.ts";
import type { Probed } from "../engines/engine.ts";
import type { ServiceRecord } from "../journal/journal.ts";
import { lookAtService } from "./look.ts";
import { volumeName } from "./naming.ts";
import type { OperationDeps } from "./run-operation.ts";
import type { Runner } from "./runner.ts";
import { stopForeign } from "./stop-foreign.ts";
import { waitReady } from "./wait-ready.ts";

/** Docker starts by itself what its restart policy covers; only what it leaves is ours. */
const DOCKERS_OWN_TURN_MS = 5_000;

/** Call it whenever Docker begins to answer. Services with an operation of their own are left to that. */
export function reconcile(deps: OperationDeps, runner: Runner): Cancel {
  return deps.clock.after(DOCKERS_OWN_TURN_MS, () => {
    for (const service of deps.journal.services.all()) {
      if (!shouldRun(service) || runner.isBusy(service.serviceId)) continue;
      runner.alone(service.serviceId, (signal) => bringBack(deps, service.serviceId, signal));
    }
  });
}

const shouldRun = ({ desired, everDeployed, spec }: ServiceRecord) =>
  desired === "running" && everDeployed && spec !== undefined;

async function bringBack(deps: OperationDeps, serviceId: string, signal: AbortSignal): Promise<void> {
  const { clock, docker, engines, journal, log, agentId } = deps;
  // Read again: an operation may have stopped it meanwhile.
  const service = journal.services.get(serviceId);
  if (service?.spec === undefined || !shouldRun(service)) return;
  const { spec, generation } = service;
  const engine = engines[spec.engine];
  const ready = journal.volumes.get(volumeName(spec.volumeId))?.ready;
  const found = await lookAtService(docker, { agentId, serviceId, generation, volumeId: spec.volumeId }, signal);
  const [container] = found.containers;
  // Without proof of data, or without a container, a person has to decide.
  if (container === undefined || ready === undefined || found.volumes.length === 0) return;
  const runs = container.state === "running";
  if (!runs && container.state !== "exited" && container.state !== "created") return;
  const since = (clock.wallMs() / 1_000).toFixed(3);
  if (!runs) {
    log.info({ serviceId, container: container.name }, "starting a service that should run");
    await docker.setRestartPolicy(container.id, "no", signal);
    await docker.startContainer(container.id, signal);
  }
  let probed: Probed | undefined;
  try {
    probed = await waitReady(
      { clock, docker },
      {
        container,
        engine,
        serviceName: spec.name,
        timeoutMs: deps.readyTimeoutMs,
        since,
        signal,
        onOutput: () => undefined,
      },
    );
  } catch (error) {
    // The agent stops, or an operation takes over.
    if (signal.aborted) throw error;
    log.warn({ serviceId, reason: messageOf(error) }, "a service that should run did not come up");
  }
  if (probed !== undefined && probed.identity !== ready.identity) {
    const about = { serviceId, expected: ready.identity, found: probed.identity };
    log.error(about, "another database came up; it is being stopped");
    const graceMs = deps.stopGraceMs ?? engine.container(spec).stopGraceMs;
    await stopForeign(deps, container, graceMs, (text) => log.error(about, text));
    journal.services.change(serviceId, { desired: "stopped" });
    return;
  }
  await docker.setRestartPolicy(container.id, "unless-stopped", signal);
}
