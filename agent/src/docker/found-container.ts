/** What Docker says of containers and pulls, in our words. Pure. */
import type { ContainerInspectInfo } from "dockerode";
import type { ContainerHealth, ContainerState, FoundContainer } from "./docker.ts";

const NEVER_STARTED = "0001-01-01T00:00:00Z";

export function foundContainer(found: ContainerInspectInfo): FoundContainer {
  const { State: state } = found;
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ""),
    labels: found.Config.Labels ?? {},
    state: state.Status as ContainerState,
    health: (state.Health?.Status ?? "none") as ContainerHealth,
    imageId: found.Image,
    exitCode: state.ExitCode,
    oomKilled: state.OOMKilled,
    restartCount: found.RestartCount,
    startedAt: state.StartedAt ?? NEVER_STARTED,
    networks: Object.values(found.NetworkSettings.Networks).map((network) => ({
      id: network.NetworkID,
      ...(network.IPAMConfig?.IPv4Address === undefined ? {} : { address: String(network.IPAMConfig.IPv4Address) }),
    })),
  };
}

/** Lists carry health only in their prose: "Up 2 minutes (healthy)". */
export function healthOfStatus(status: string): ContainerHealth {
  if (status.includes("(healthy)")) return "healthy";
  if (status.includes("(unhealthy)")) return "unhealthy";
  if (status.includes("(health: starting)")) return "starting";
  return "none";
}

export function progressOf(detail: unknown): { currentBytes?: number; totalBytes?: number } {
  if (typeof detail !== "object" || detail === null) return {};
  const { current, total } = detail as { current?: unknown; total?: unknown };
  return {
    ...(typeof current === "number" ? { currentBytes: current } : {}),
    ...(typeof total === "number" ? { totalBytes: total } : {}),
  };
}
