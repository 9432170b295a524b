import { afterAll, expect, test } from "vitest";
import { newId, serviceSpec } from "../../test/commands.ts";
import { dockerContract } from "../../test/docker.contract.ts";
import { cli, leftovers, realClock, realDocker, sweep } from "../../test/real-docker.ts";
import { postgres } from "../engines/postgres.ts";
import { blueprint, serviceFolders } from "../services/container-spec.ts";
import { createDockerode } from "./dockerode.ts";

const agentId = newId();
const servicesDir = "/var/lib/dflow/services";
const docker = realDocker(agentId, servicesDir);
afterAll(() => sweep(agentId));

dockerContract(() => ({ docker, agentId, servicesDir, image: "dflow-test/never-ready:1", subnet: "10.221.0.0/26" }));

test("says docker_unavailable, with what to check, when nothing answers at the socket", async () => {
  const options = { socketPath: "/run/no-docker-here.sock", clock: realClock, inspectBody: () => undefined };
  await expect(createDockerode(options).version()).rejects.toMatchObject({
    code: "docker_unavailable",
    hint: expect.stringContaining("systemctl status docker"),
  });
});

test("hands a container to Docker only when the policy lets it through", async () => {
  const refusing = createDockerode({
    socketPath: "/var/run/docker.sock",
    clock: realClock,
    inspectBody: () => {
      throw new Error("refused");
    },
  });
  const spec = serviceSpec();
  const { workspaceId, environmentId, serviceId } = spec;
  const owner = { agentId, workspaceId, environmentId, serviceId, generation: 1, operationId: newId() };
  const plan = blueprint(spec, postgres, serviceFolders(servicesDir, serviceId), owner);
  const body = { ...plan, imageId: "sha256:0", network: { ...plan.network, address: "10.221.0.2" } };
  await expect(refusing.createContainer(body)).rejects.toThrow("refused");
  expect(leftovers(agentId).containers).toEqual([]);
  expect(cli("version", "--format", "{{.Server.Version}}")).toBe((await docker.version()).version);
});
