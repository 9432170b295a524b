/** How an agent's Node is started: by quickstart and the tests, and, in the same words, by scripts/agent and the unit. */

/**
 * V8's nursery grows to 16 MiB a half by default. An agent allocates little and idles for weeks: 1 MiB saves some
 * 10 MiB of resident memory and costs no time that could be measured.
 */
export const AGENT_NODE_FLAGS: readonly string[] = ["--max-semi-space-size=1"];
