/** How a control plane's Node is started: by quickstart, the tests and the benchmarks. */

/**
 * V8's nursery grows to 16 MiB a half by default, and what thousands of handshakes leave in it is moved into the old heap
 * and stays there for long. With 2 MiB a connected agent costs 40 KiB of resident memory instead of 60 to 80.
 */
export const CONTROL_PLANE_NODE_FLAGS: readonly string[] = ["--max-semi-space-size=2"];
