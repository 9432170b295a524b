/** The machine's own Docker engine for tests: our client on it, the plain CLI to check with, and a broom. */
import { spawnSync } from "node:child_process";
import { createDockerode } from "../src/docker/dockerode.ts";
import { createClock } from "../src/platform.ts";
import { checkBody } from "../src/policy/policy.ts";

export const realClock = createClock();

export function realDocker(agentId: string, servicesDir: string) {
  return createDockerode({
    socketPath: "/var/run/docker.sock",
    clock: realClock,
    inspectBody: (body, kind) => checkBody(kind, body, { agentId, servicesDir }),
  });
}

/** Runs the docker CLI; throws with its words when it fails. */
export function cli(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** What an agent has left in Docker, by kind. */
export function leftovers(agentId: string) {
  const list = (...args: string[]) =>
    cli(...args)
      .split("\n")
      .filter(Boolean);
  const filter = `label=sh.dflow.agent=${agentId}`;
  return {
    containers: list("ps", "-aq", "--filter", filter),
    volumes: list("volume", "ls", "-q", "--filter", filter),
    networks: list("network", "ls", "-q", "--filter", filter),
  };
}

export function sweep(agentId: string): void {
  const { containers, volumes, networks } = leftovers(agentId);
  if (containers.length > 0) cli("rm", "-fv", ...containers);
  if (volumes.length > 0) cli("volume", "rm", ...volumes);
  if (networks.length > 0) cli("network", "rm", ...networks);
}
