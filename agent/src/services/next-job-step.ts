/** What comes next of an operation of class `once`, from what is written down of it and what Docker shows. Pure. */
import type { FoundContainer } from "../docker/docker.ts";

/**
 * `create`: nothing was done. `start`: it was made and has not run. `wait`: it runs. `collect`: it has ended, its exit code
 * and output are there. `unknown`: it may have run, and what would say so is gone.
 */
export type JobStep = "create" | "start" | "wait" | "collect" | "unknown";

/** `intended`: the journal says that the container may have been made. */
export function nextJobStep(intended: boolean, container: Pick<FoundContainer, "state"> | undefined): JobStep {
  if (container === undefined) return intended ? "unknown" : "create";
  switch (container.state) {
    case "created":
      return "start";
    case "running":
    case "paused":
    case "restarting":
      return "wait";
    case "exited":
    case "dead":
    case "removing":
      return "collect";
  }
}
