import { newId } from "../../test/commands.ts";
import { dockerContract } from "../../test/docker.contract.ts";
import { createFakeDocker } from "../../test/fake-docker.ts";

const fake = createFakeDocker();
fake.addImage("any:1", { probesUntilReady: Number.POSITIVE_INFINITY });
const agentId = newId();

dockerContract(() => ({
  docker: fake.docker,
  agentId,
  servicesDir: "/var/lib/dflow/services",
  image: "any:1",
  subnet: "10.221.0.0/26",
}));
