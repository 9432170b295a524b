import { afterAll, beforeAll, expect, test } from "vitest";
import { newId, serviceSpec } from "../../test/commands.ts";
import { type OwnDocker, startOwnDocker, whyNoOwnDocker } from "../../test/own-docker.ts";
import { realClock } from "../../test/real-docker.ts";
import { postgres } from "../engines/postgres.ts";
import { checkBody } from "../policy/policy.ts";
import { blueprint, serviceFolders } from "../services/container-spec.ts";
import { networkName, outgoingNetworkName } from "../services/naming.ts";
import { partsOf } from "../services/subnets.ts";
import type { Docker } from "./docker.ts";
import { createDockerode } from "./dockerode.ts";

const IMAGE = "dflow-test/never-ready:1";
const agentId = newId();
const servicesDir = "/tmp";
const missing = whyNoOwnDocker();
const labels = { "sh.dflow.agent": agentId };
const [environmentId, workspaceId] = [newId(), newId()];

let own: OwnDocker;
let docker: Docker;
let imageId: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  own = await startOwnDocker(IMAGE);
  docker = createDockerode({
    socketPath: own.socketPath,
    clock: realClock,
    inspectBody: (body, kind) => checkBody(kind, body, { agentId, servicesDir }),
  });
  imageId = (await docker.findImage(IMAGE))?.id ?? "";
  const inside = { kind: "private", name: networkName(environmentId), subnet: "10.222.0.0/26" } as const;
  await docker.createNetwork({ ...inside, parts: partsOf(inside.subnet), labels });
  const outside = { kind: "outgoing", name: outgoingNetworkName(environmentId), subnet: "10.222.0.64/26" } as const;
  await docker.createNetwork({ ...outside, labels });
});
afterAll(() => own?.stop());

/** A container as the product makes it; what it mounts from the agent's folder is left out. */
async function start(name: string, address: string, outgoing: boolean): Promise<string> {
  const spec = serviceSpec({ name, environmentId, workspaceId, outgoing });
  const owner = { agentId, workspaceId, environmentId, serviceId: spec.serviceId, generation: 1, operationId: newId() };
  const plan = blueprint(spec, postgres, serviceFolders(servicesDir, spec.serviceId), owner);
  const id = await docker.createContainer({
    ...plan,
    folders: [],
    imageId,
    network: { ...plan.network, address },
  });
  if (outgoing) await docker.joinNetwork(outgoingNetworkName(environmentId), id);
  await docker.startContainer(id);
  return id;
}
const lookUp = (id: string, name: string) =>
  docker.runInside(id, ["sh", "-c", 'timeout 4 getent hosts "$0"', name], "root").then((outcome) => outcome?.stdout);

test("asks nobody outside for a name unless it has a way out, and knows its neighbours", async ({ skip }) => {
  if (missing !== undefined) skip(missing);
  const quiet = await start("quiet", "10.222.0.2", false);
  const open = await start("open", "10.222.0.3", true);
  // The control: this resolver is asked, and what it is asked is seen.
  await lookUp(open, "asked.example");
  expect(own.questions()).toContain("asked.example");

  await lookUp(quiet, "secret.leaks.example");
  expect(own.questions().filter((name) => name.includes("leaks"))).toEqual([]);
  expect(await lookUp(quiet, "open")).toMatch(/^10\.222\.0\.3\s+open/);
  expect(await lookUp(open, "quiet")).toMatch(/^10\.222\.0\.2\s+quiet/);
});
