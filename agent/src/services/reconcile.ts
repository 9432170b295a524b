/** Brings back what should run when Docker itself was away. Starts, never removes, and proves whom it started. */
import { messageOf } from "@dflow/protocol";
import type { ServiceRecord } from "../journal/journal.ts";
import { sleep } from "../waiting.ts";
import { lookAtService } from "./look.ts";
import { volumeName } from "./naming.ts";
import { AgentStopping, type OperationDeps } from "./run-operation.ts";
import type { Runner } from "./runner.ts";
import { waitReady } from "./wait-ready.ts";

/** Docker starts by itself what its restart policy covers; only what it leaves is ours. */
const DOCKERS_OWN_TURN_MS = 5_000;

/** Call it whenever Docker begins to answer. Services with an operation of their own are left to that. */
export function reconcile(deps: OperationDeps, runner: Runner): void {
  for (const service of deps.journal.services.all()) {
    if (!shouldRun(service) || runner.isBusy(service.serviceId)) continue;
    runner.alone(service.serviceId, async (signal) => {
      await sleep(deps.clock, DOCKERS_OWN_TURN_MS, signal);
      await bringBack(deps, service.serviceId, signal);
    });
  }
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
  if (container.state !== "exited" && container.state !== "created") return;
  log.info({ serviceId, container: container.name }, "starting a service that should run");
  await docker.setRestartPolicy(container.id, "no", signal);
  const since = (clock.wallMs() / 1_000).toFixed(3);
  await docker.startContainer(container.id, signal);
  try {
    const probed = await waitReady(
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
    if (probed.identity !== ready.identity) {
      await docker.stopContainer(container.id, deps.stopGraceMs ?? engine.container(spec).stopGraceMs, signal);
      journal.services.change(serviceId, { desired: "stopped" });
      log.error(
        { serviceId, expected: ready.identity, found: probed.identity },
        "another database came up; it was stopped",
      );
      return;
    }
  } catch (error) {
    if (error instanceof AgentStopping) throw error;
    log.warn({ serviceId, reason: messageOf(error) }, "a service that should run did not come up");
  }
  await docker.setRestartPolicy(container.id, "unless-stopped", signal);
}
