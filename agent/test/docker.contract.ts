/** What every implementation of our Docker verbs keeps to; run for the fake and for the real engine. */
import { expect, test } from "vitest";
import type { ContainerSpec, Docker } from "../src/docker/docker.ts";
import { partsOf } from "../src/services/subnets.ts";
import { newId } from "./commands.ts";

export interface ContractSubject {
  docker: Docker;
  agentId: string;
  servicesDir: string;
  /** Of an image whose program runs until it is stopped. */
  image: string;
  subnet: string;
}

export function dockerContract(make: () => ContractSubject): void {
  const serviceId = newId();
  const environmentId = newId();
  const volume = `dflow-vol-${newId()}`;
  const network = `dflow-env-${environmentId}`;
  const labelsOf = ({ agentId }: ContractSubject) => ({ "sh.dflow.agent": agentId, "sh.dflow.service": serviceId });

  function specOf(subject: ContractSubject, imageId: string): ContainerSpec {
    return {
      name: `dflow-${serviceId}-1`,
      imageId,
      labels: labelsOf(subject),
      env: { A: "1" },
      network: { name: network, address: subject.subnet.replace(/0\/26$/, "2"), alias: "db" },
      outgoing: false,
      volumes: [{ name: volume, target: "/var/lib/thing" }],
      folders: [],
      tmpfs: [],
      shmBytes: 64 * 1024 * 1024,
      pidsLimit: 100,
      capabilities: [],
      health: { command: ["true"], intervalMs: 10_000, timeoutMs: 5_000, retries: 5, startPeriodMs: 1_000 },
      stopSignal: "SIGINT",
      stopGraceMs: 5_000,
      logMaxSize: "1m",
      logMaxFiles: 2,
    };
  }

  test("what is absent is undefined, or false when it is removed, and stopping it is no failure", async () => {
    const { docker } = make();
    expect(await docker.findImage("dflow-test/absent:1")).toBeUndefined();
    expect(await docker.findVolume(volume)).toBeUndefined();
    expect(await docker.findContainer("dflow-absent")).toBeUndefined();
    expect(await docker.removeVolume(volume)).toBe(false);
    expect(await docker.removeContainer("dflow-absent")).toBe(false);
    expect(await docker.removeNetwork("0".repeat(64))).toBe(false);
    await docker.stopContainer("dflow-absent", 1_000);
    expect(await docker.runInside("dflow-absent", ["true"], "root")).toBeUndefined();
    expect(await docker.openLogs("dflow-absent", { follow: false, tail: 1, timestamps: false })).toBeUndefined();
  });

  test("a container's life, with its labels, states, address and policy", async () => {
    const subject = make();
    const { docker, agentId, image, subnet } = subject;
    const imageId = (await docker.findImage(image))?.id ?? "";
    const labels = labelsOf(subject);
    const parts = partsOf(subnet);
    const networkId = await docker.createNetwork({ name: network, kind: "private", parts, subnet, labels });
    const outgoing = { name: `dflow-out-${environmentId}`, kind: "outgoing", labels } as const;
    await expect(docker.createNetwork({ ...outgoing, subnet })).rejects.toMatchObject({ code: "network_exhausted" });
    const outgoingId = await docker.createNetwork({ ...outgoing, subnet: subnet.replace(/0\/26$/, "64/26") });
    const networks = await docker.listNetworks();
    expect(networks).toContainEqual({ id: networkId, name: network, labels, subnets: [subnet], internal: true });
    expect(networks).toContainEqual(expect.objectContaining({ id: outgoingId, internal: false }));
    await docker.createVolume(volume, labelsOf(subject));
    await docker.createVolume(volume, labelsOf(subject));
    expect(await docker.listVolumes(`sh.dflow.agent=${agentId}`)).toEqual([
      { name: volume, labels: labelsOf(subject) },
    ]);

    const spec = specOf(subject, imageId);
    const id = await docker.createContainer(spec);
    await expect(docker.createContainer(spec)).rejects.toMatchObject({ code: "docker_failed" });
    expect(await docker.findContainer(spec.name)).toMatchObject({ id, state: "created", imageId });
    await docker.joinNetwork(outgoing.name, id);
    const events: string[] = [];
    const stream = await docker.openEvents((event) => {
      if (event.id === id) events.push(event.action);
    });
    await docker.startContainer(id);
    await docker.startContainer(id);
    const running = await docker.findContainer(id);
    expect(running).toMatchObject({ state: "running", restartCount: 0 });
    expect(running?.networks).toHaveLength(2);
    expect(running?.networks).toContainEqual({ id: networkId, address: spec.network.address });
    expect(running?.networks).toContainEqual({ id: outgoingId });
    await expect(docker.removeNetwork(outgoingId)).rejects.toMatchObject({ code: "docker_failed" });
    expect(await docker.listContainers(`sh.dflow.service=${serviceId}`)).toMatchObject([
      { id, name: spec.name, state: "running", labels: labelsOf(subject) },
    ]);
    await docker.setRestartPolicy(id, "unless-stopped");
    await expect(docker.removeVolume(volume)).rejects.toMatchObject({ code: "docker_failed" });
    const log = await docker.openLogs(id, { follow: false, tail: null, timestamps: false });
    const chunks: Buffer[] = [];
    for await (const chunk of log ?? []) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toContain("starting");

    await docker.stopContainer(id, 5_000);
    await docker.stopContainer(id, 5_000);
    expect(await docker.findContainer(id)).toMatchObject({ state: "exited", exitCode: 0 });
    expect(await docker.runInside(id, ["true"], "root")).toBeUndefined();
    expect(await docker.removeContainer(id)).toBe(true);
    await expect.poll(() => events).toEqual(["start", "update", "die", "destroy"]);
    stream.destroy();
    expect(await docker.removeVolume(volume)).toBe(true);
    expect(await docker.removeNetwork(networkId)).toBe(true);
    expect(await docker.removeNetwork(outgoingId)).toBe(true);
  });

  test("an aborted call ends with the signal's reason", async () => {
    const reason = new Error("enough");
    await expect(make().docker.listNetworks(AbortSignal.abort(reason))).rejects.toBe(reason);
  });
}
