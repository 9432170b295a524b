import fc from "fast-check";
import { expect, test } from "vitest";
import { newId, serviceSpec } from "../../test/commands.ts";
import { createBody } from "../docker/create-body.ts";
import { jobBody } from "../docker/job-body.ts";
import { joinBody, networkBody } from "../docker/network-body.ts";
import { postgres } from "../engines/postgres.ts";
import { blueprint, serviceFolders } from "../services/container-spec.ts";
import { jobSpec } from "../services/job-spec.ts";
import { checkCreateBody, checkJobBody, checkJoinBody, checkNetworkBody, checkOwned } from "./policy.ts";

const scope = { agentId: newId(), servicesDir: "/var/lib/dflow/services" };

// biome-ignore lint/suspicious/noExplicitAny: the tests put what must not be into Docker's JSON, whatever its type
type AnyBody = any;

function body(): AnyBody {
  const spec = serviceSpec();
  const { workspaceId, environmentId, serviceId } = spec;
  const owner = { ...scope, workspaceId, environmentId, serviceId, generation: 1, operationId: newId() };
  const plan = blueprint(spec, postgres, serviceFolders(scope.servicesDir, serviceId), owner);
  const network = { ...plan.network, address: "10.218.0.2" };
  return structuredClone(createBody({ ...plan, imageId: `sha256:${"a".repeat(64)}`, network }));
}

const refused = (change: (body: AnyBody) => void) => {
  const changed = body();
  change(changed);
  expect(() => checkCreateBody(changed, scope)).toThrow(expect.objectContaining({ code: "policy_refused" }));
};

test("lets our own containers through", () => {
  checkCreateBody(body(), scope);
});

const FORBIDDEN: Record<string, (body: AnyBody) => void> = {
  "privileged mode": ({ HostConfig }) => Object.assign(HostConfig, { Privileged: true }),
  "privileged mode, even switched off": ({ HostConfig }) => Object.assign(HostConfig, { Privileged: false }),
  "the host's network": ({ HostConfig }) => Object.assign(HostConfig, { NetworkMode: "host" }),
  "another container's network": ({ HostConfig }) => Object.assign(HostConfig, { NetworkMode: "container:abc" }),
  "the host's processes": ({ HostConfig }) => Object.assign(HostConfig, { PidMode: "host" }),
  "the host's IPC": ({ HostConfig }) => Object.assign(HostConfig, { IpcMode: "host" }),
  devices: ({ HostConfig }) => Object.assign(HostConfig, { Devices: [{ PathOnHost: "/dev/sda" }] }),
  "another bind syntax": ({ HostConfig }) => Object.assign(HostConfig, { Binds: ["/:/host"] }),
  "Docker's socket": ({ HostConfig }) => Object.assign(HostConfig.Mounts[1], { Source: "/var/run/docker.sock" }),
  "a folder outside of ours": ({ HostConfig }) => Object.assign(HostConfig.Mounts[1], { Source: "/etc" }),
  "a way out of our folder": ({ HostConfig }) =>
    Object.assign(HostConfig.Mounts[1], { Source: `${scope.servicesDir}/../../../etc` }),
  "the agent's own key": ({ HostConfig }) => Object.assign(HostConfig.Mounts[1], { Source: "/var/lib/dflow/key.json" }),
  "a writable folder": ({ HostConfig }) => Object.assign(HostConfig.Mounts[1], { ReadOnly: false }),
  "a mount over the system": ({ HostConfig }) => Object.assign(HostConfig.Mounts[0], { Target: "/etc" }),
  "a foreign volume": ({ HostConfig }) => Object.assign(HostConfig.Mounts[0], { Source: "somebody-elses" }),
  "more capabilities": ({ HostConfig }) => HostConfig.CapAdd.push("SYS_ADMIN"),
  "capabilities not dropped": ({ HostConfig }) => delete HostConfig.CapDrop,
  "new privileges": ({ HostConfig }) => Object.assign(HostConfig, { SecurityOpt: ["seccomp=unconfined"] }),
  "no process limit": ({ HostConfig }) => Object.assign(HostConfig, { PidsLimit: -1 }),
  "core dumps": ({ HostConfig }) => Object.assign(HostConfig.Ulimits[0], { Hard: -1 }),
  "core dumps by leaving the limit out": ({ HostConfig }) => delete HostConfig.Ulimits,
  "a published port": ({ HostConfig }) => Object.assign(HostConfig, { PortBindings: { "5432/tcp": [{}] } }),
  "foreign labels": (all) => Object.assign(all.Labels, { "com.docker.swarm.id": "x" }),
  "another agent's label": (all) => Object.assign(all.Labels, { "sh.dflow.agent": newId() }),
  "no labels": (all) => delete all.Labels,
  "an image by its name": (all) => Object.assign(all, { Image: "postgres:17" }),
  "a name of somebody else": (all) => Object.assign(all, { name: "web" }),
  "a command of its own": (all) => Object.assign(all, { Cmd: ["sh"] }),
  "a user of its own": (all) => Object.assign(all, { User: "root" }),
  "an unlimited log": ({ HostConfig }) => Object.assign(HostConfig, { LogConfig: { Type: "json-file", Config: {} } }),
  "a resolver outside": ({ HostConfig }) => Object.assign(HostConfig, { Dns: ["192.0.2.53"] }),
  "a second resolver": ({ HostConfig }) => HostConfig.Dns.push("192.0.2.53"),
  "no resolver at all, which is the engine's own": ({ HostConfig }) => Object.assign(HostConfig, { Dns: [] }),
  "the network with a way out, when it is created": ({ HostConfig }) =>
    Object.assign(HostConfig, { NetworkMode: `dflow-out-${newId()}` }),
  "its own restarts": ({ HostConfig }) => Object.assign(HostConfig, { RestartPolicy: { Name: "always" } }),
};
for (const [what, change] of Object.entries(FORBIDDEN)) test(`refuses ${what}`, () => refused(change));

test("refuses every field that nobody thought of", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.boolean(), fc.anything(), (name, inHost, value) => {
      const plain = body();
      const target = inHost ? plain.HostConfig : plain;
      fc.pre(!(name in target) && !["Memory", "MemorySwap", "__proto__"].includes(name));
      refused((changed) => Object.assign(inHost ? changed.HostConfig : changed, { [name]: value }));
    }),
  );
});

function job(part = {}): AnyBody {
  const spec = serviceSpec(part);
  const { workspaceId, environmentId, serviceId } = spec;
  const owner = { ...scope, workspaceId, environmentId, serviceId, generation: 2, operationId: newId() };
  const ground = { imageId: `sha256:${"a".repeat(64)}`, user: { uid: 999, gid: 999 } };
  return structuredClone(
    jobBody(jobSpec("check", spec, postgres, serviceFolders(scope.servicesDir, serviceId), owner, ground)),
  );
}
const jobRefused = (change: (body: AnyBody) => void) => {
  const changed = job();
  change(changed);
  expect(() => checkJobBody(changed, scope)).toThrow(expect.objectContaining({ code: "policy_refused" }));
};

test("lets our own jobs through, with and without a memory limit", () => {
  checkJobBody(job(), scope);
  checkJobBody(job({ memoryBytes: 1 << 30, version: "18" }), scope);
});

test("takes neither a job for a service nor a service for a job", () => {
  expect(() => checkCreateBody(job(), scope)).toThrow();
  expect(() => checkJobBody(body(), scope)).toThrow();
});

const FORBIDDEN_FOR_JOBS: Record<string, (body: AnyBody) => void> = {
  root: (all) => Object.assign(all, { User: "0:0" }),
  "root by its name": (all) => Object.assign(all, { User: "root" }),
  "root's group": (all) => Object.assign(all, { User: "999:0" }),
  "the image's own user": (all) => delete all.User,
  "the image's own entrypoint": (all) => delete all.Entrypoint,
  environment: (all) => Object.assign(all, { Env: ["PGPASSWORD=x"] }),
  "a name of another operation": (all) => Object.assign(all, { name: `dflow-job-${newId()}` }),
  "the name of a service's container": (all) => Object.assign(all, { name: `dflow-${newId()}-1` }),
  "another agent's label": (all) => Object.assign(all.Labels, { "sh.dflow.agent": newId() }),
  "no labels": (all) => delete all.Labels,
  "any capability": ({ HostConfig }) => Object.assign(HostConfig, { CapAdd: ["SETUID"] }),
  "capabilities not dropped": ({ HostConfig }) => delete HostConfig.CapDrop,
  "a writable root": ({ HostConfig }) => Object.assign(HostConfig, { ReadonlyRootfs: false }),
  "a root that is writable by leaving it out": ({ HostConfig }) => delete HostConfig.ReadonlyRootfs,
  "a data volume": ({ HostConfig }) =>
    HostConfig.Mounts.push({ Type: "volume", Source: `dflow-vol-${newId()}`, Target: "/var/lib/postgresql" }),
  "a writable folder": ({ HostConfig }) => Object.assign(HostConfig.Mounts[0], { ReadOnly: false }),
  "a folder outside of ours": ({ HostConfig }) => Object.assign(HostConfig.Mounts[0], { Source: "/etc" }),
  "a published port": ({ HostConfig }) => Object.assign(HostConfig, { PortBindings: { "5432/tcp": [{}] } }),
  "a way out": ({ HostConfig }) => Object.assign(HostConfig, { NetworkMode: `dflow-out-${newId()}` }),
  "the host's network": ({ HostConfig }) => Object.assign(HostConfig, { NetworkMode: "host" }),
  "a second network": (all) => Object.assign(all, { NetworkingConfig: { EndpointsConfig: {} } }),
  "the engine's own resolver": ({ HostConfig }) => delete HostConfig.Dns,
  "its own restarts": ({ HostConfig }) => Object.assign(HostConfig, { RestartPolicy: { Name: "always" } }),
  "privileged mode": ({ HostConfig }) => Object.assign(HostConfig, { Privileged: true }),
  "new privileges": ({ HostConfig }) => delete HostConfig.SecurityOpt,
  "core dumps": ({ HostConfig }) => delete HostConfig.Ulimits,
  "its own removal": ({ HostConfig }) => Object.assign(HostConfig, { AutoRemove: true }),
};
for (const [what, change] of Object.entries(FORBIDDEN_FOR_JOBS))
  test(`refuses a job ${what}`, () => jobRefused(change));

test("refuses every field of a job that nobody thought of, and any that is left out", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.boolean(), fc.anything(), (name, inHost, value) => {
      const plain = job();
      const target = inHost ? plain.HostConfig : plain;
      fc.pre(!(name in target) && !["Memory", "MemorySwap", "__proto__"].includes(name));
      jobRefused((changed) => Object.assign(inHost ? changed.HostConfig : changed, { [name]: value }));
    }),
  );
  for (const name of Object.keys(job())) jobRefused((changed) => delete changed[name]);
  for (const name of Object.keys(job().HostConfig)) jobRefused((changed) => delete changed.HostConfig[name]);
});

const labels = { "sh.dflow.agent": scope.agentId, "sh.dflow.environment": newId() };
const privateBody = (): AnyBody =>
  structuredClone(
    networkBody({
      kind: "private",
      name: `dflow-env-${newId()}`,
      subnet: "10.218.0.0/26",
      parts: { gateway: "10.218.0.1", guests: "10.218.0.48/28", deadEnd: "10.218.0.62" },
      labels,
    }),
  );
const outgoingBody = (): AnyBody =>
  structuredClone(networkBody({ kind: "outgoing", name: `dflow-out-${newId()}`, subnet: "10.218.0.64/26", labels }));

test("lets our own networks through, and joining the one with a way out", () => {
  checkNetworkBody(privateBody(), scope);
  checkNetworkBody(outgoingBody(), scope);
  checkJoinBody(joinBody(`dflow-out-${newId()}`, "a".repeat(64)));
});

const FORBIDDEN_NETWORKS: Record<string, AnyBody> = {
  "an environment's network with a way out": { ...privateBody(), Internal: false },
  "an environment's network that does not say": (({ Internal: _, ...rest }) => rest)(privateBody()),
  "a default route that leads to the host": {
    ...privateBody(),
    IPAM: { Driver: "default", Config: [{ Subnet: "10.218.0.0/26" }] },
  },
  "a second range": {
    ...privateBody(),
    IPAM: { Driver: "default", Config: [...privateBody().IPAM.Config, ...privateBody().IPAM.Config] },
  },
  "a wide range": { ...outgoingBody(), IPAM: { Driver: "default", Config: [{ Subnet: "10.0.0.0/8" }] } },
  IPv6: { ...privateBody(), EnableIPv6: true },
  "the host's own interface": { ...outgoingBody(), Driver: "macvlan", Options: { parent: "eth0" } },
  "members that reach each other outside": { ...outgoingBody(), Options: {} },
  "an option that nobody thought of": { ...privateBody(), Options: { "com.docker.network.bridge.name": "docker0" } },
  "a field that nobody thought of": { ...outgoingBody(), Attachable: true },
  "a name of somebody else": { ...outgoingBody(), Name: "bridge" },
  "another agent's label": { ...outgoingBody(), Labels: { "sh.dflow.agent": newId() } },
};
for (const [what, forbidden] of Object.entries(FORBIDDEN_NETWORKS)) {
  test(`refuses a network: ${what}`, () => {
    expect(() => checkNetworkBody(forbidden, scope)).toThrow(expect.objectContaining({ code: "policy_refused" }));
  });
}

test("refuses to join any other network, or with anything more", () => {
  const good = joinBody(`dflow-out-${newId()}`, "a".repeat(64));
  for (const change of [
    { Network: "bridge" },
    { Network: "host" },
    { Network: `dflow-env-${newId()}` },
    { Container: "somebody-elses" },
    { EndpointConfig: {} },
  ]) {
    expect(() => checkJoinBody({ ...good, ...change })).toThrow(expect.objectContaining({ code: "policy_refused" }));
  }
  expect(() => checkJoinBody({ Network: good.Network })).toThrow("Container");
});

test("leaves alone what carries no label or another agent's", () => {
  checkOwned("volume", "v", { "sh.dflow.agent": scope.agentId }, scope.agentId);
  expect(() => checkOwned("volume", "v", {}, scope.agentId)).toThrow("was not made by dFlow");
  expect(() => checkOwned("volume", "v", { "sh.dflow.agent": "x" }, scope.agentId)).toThrow("another dFlow agent");
});
