/** Outgoing traffic of databases: off unless switched on, tried from inside the containers of real databases. */
import { createServer, connect as dial, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import type { Service } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createSandbox } from "../support/docker-engine.ts";
import { clientImage, docker, objectsOf, type Product, psql, startProduct, tryDocker } from "../support/product.ts";
import { until } from "../support/until.ts";

const GREETING = "dflow-was-here";
/** In bash: says what it is greeted with at $0, port $1. */
const GREETED = 'timeout 4 bash -c \'exec 3<>"/dev/tcp/$0/$1" && head -c 14 <&3\' "$0" "$1"';

interface Endpoint {
  NetworkID: string;
  IPAddress: string;
  Gateway: string;
}

describe("outgoing traffic", () => {
  let product: Product;
  let here: string;
  let there: string;
  let orders: Service;
  let audit: Service;
  let elsewhere: Service;
  let listener: Server;
  let port: number;
  /** Of the connections that the listener has seen. */
  const seen: string[] = [];
  const sandbox = createSandbox();
  let bystander: { id: string; address: string };

  beforeAll(async () => {
    product = await startProduct();
    here = await product.environment("production");
    there = await product.environment("staging");
    listener = createServer((socket) => {
      socket.on("error", () => undefined);
      seen.push(socket.remoteAddress ?? "");
      socket.end(GREETING);
    });
    await new Promise<void>((done) => listener.listen(0, "0.0.0.0", done));
    const address = listener.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
    // Somebody else's database, on Docker's own network.
    const id = await sandbox.run(["--env", "POSTGRES_HOST_AUTH_METHOD=trust", clientImage()]);
    bystander = { id, address: docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", id).trim() };
    await until("the bystander answers", async () => (await accepts(bystander.address)) || undefined);

    orders = await product.createService(here, "orders");
    audit = await product.createService(here, "audit");
    elsewhere = await product.createService(there, "elsewhere", { outgoing: true });
    for (const { id: service } of [orders, audit, elsewhere]) {
      expect((await product.run(service, "deploy")).state).toBe("succeeded");
    }
  });
  afterAll(async () => {
    await new Promise((done) => (listener === undefined ? done(undefined) : listener.close(done)));
    await sandbox.remove();
    await product?.stop();
  });

  /** A TCP connect from the host, as the proxy will do it. */
  const accepts = (host: string) =>
    new Promise<boolean>((done) => {
      const socket = dial({ host, port: 5432, timeout: 3_000 });
      const end = (answer: boolean) => {
        socket.destroy();
        done(answer);
      };
      socket.once("connect", () => end(true));
      socket.once("timeout", () => end(false));
      socket.once("error", () => end(false));
    });

  const containerOf = ({ id }: Service) => docker("ps", "-aq", "--filter", `label=sh.dflow.service=${id}`).trim();
  const inspect = (service: Service) =>
    JSON.parse(docker("inspect", containerOf(service)))[0] as {
      HostConfig: { Dns: string[] };
      NetworkSettings: { Networks: Record<string, Endpoint> };
    };
  const endpoint = (service: Service, kind: "env" | "out") => {
    const { Networks } = inspect(service).NetworkSettings;
    const [, found] = Object.entries(Networks).find(([name]) => name.startsWith(`dflow-${kind}-`)) ?? [];
    if (found === undefined) throw new Error(`${service.name} is in no ${kind} network`);
    return found;
  };
  const networkNames = (service: Service) => Object.keys(inspect(service).NetworkSettings.Networks).toSorted();
  const inside = (service: Service, ...command: string[]) => tryDocker(["exec", containerOf(service), ...command]);

  /** Whether the test's listener greeted the container; that a connection was opened may be a gateway's doing. */
  const isGreeted = async (service: Service, address: string) => {
    const { output } = await inside(service, "bash", "-c", GREETED, address, String(port));
    return output.includes(GREETING);
  };
  const reachesDatabase = async (service: Service, host: string) =>
    (await inside(service, "pg_isready", "-q", "-t", "3", "-h", host, "-p", "5432")).code === 0;
  const set = (service: Service, outgoing: boolean) =>
    product.call<Service>("PATCH", `/services/${service.id}`, { outgoing });
  /** Addresses of this machine that are none of the environments' own gateways. */
  const outsideAddresses = () =>
    Object.entries(networkInterfaces())
      .filter(([name]) => !/^(lo|br-|veth)/.test(name))
      .flatMap(([, addresses]) => addresses ?? [])
      .filter(({ family }) => family === "IPv4")
      .map(({ address }) => address);

  it("is off: nothing outside is reached, not the server's other addresses nor other containers", async () => {
    expect(outsideAddresses()).not.toEqual([]);
    for (const address of outsideAddresses()) {
      expect([address, await isGreeted(orders, address)]).toEqual([address, false]);
    }
    expect(seen).toEqual([]);
    expect(await reachesDatabase(orders, bystander.address)).toBe(false);
    expect(await reachesDatabase(orders, endpoint(elsewhere, "env").IPAddress)).toBe(false);
    expect(await reachesDatabase(orders, endpoint(elsewhere, "out").IPAddress)).toBe(false);
  });

  it("leaves the server itself within reach as any container has it: the limit that the guide names", async () => {
    const greets = async (container: string, address: string) =>
      (await tryDocker(["exec", container, "bash", "-c", GREETED, address, String(port)])).output.includes(GREETING);
    const [own] = JSON.parse(docker("network", "inspect", `dflow-env-${here}`))[0].IPAM.Config as { Subnet: string }[];
    const gateway = own?.Subnet.replace(/\d+\/26$/, (end) => String(Number.parseInt(end, 10) + 1)) ?? "";
    const ordinary = docker("inspect", "-f", "{{.NetworkSettings.Gateway}}", bystander.id).trim();
    // A firewall of the server's that refuses the one refuses the other.
    expect(await greets(containerOf(orders), gateway)).toBe(await greets(bystander.id, ordinary));
    seen.length = 0;
  });

  it("is off for IPv6 as well: no interface but loopback has an address", async () => {
    for (const service of [orders, elsewhere]) {
      const { code, output } = await inside(service, "cat", "/proc/net/if_inet6");
      expect(code).toBe(0);
      expect(output.split("\n").filter((line) => line !== "" && !line.trimEnd().endsWith(" lo"))).toEqual([]);
    }
  });

  it("leaves neighbours, clients in the environment and the host as they were", async () => {
    expect(await reachesDatabase(orders, "audit")).toBe(true);
    const { uri } = await product.call<{ uri: string }>("GET", `/services/${orders.id}/credentials`);
    expect(await psql(here, uri, "select 'in'")).toEqual({ code: 0, output: "in\n" });
    // The proxy will dial it so.
    expect(await accepts(endpoint(orders, "env").IPAddress)).toBe(true);
  });

  it("says so in Docker and in the API", async () => {
    expect(networkNames(orders)).toEqual([`dflow-env-${here}`]);
    const network = JSON.parse(docker("network", "inspect", `dflow-env-${here}`))[0];
    expect([network.Internal, network.EnableIPv6]).toEqual([true, false]);
    expect(inspect(orders).HostConfig.Dns).toEqual(["127.0.0.1"]);
    // A route that ends at an address that nobody has.
    expect(Object.values(network.Containers as Record<string, { IPv4Address: string }>)).not.toContainEqual(
      expect.objectContaining({ IPv4Address: expect.stringContaining(`${endpoint(orders, "env").Gateway}/`) }),
    );
    expect(await product.service(orders.id)).toMatchObject({ outgoing: false, observed: { outgoing: false } });
    expect(await product.service(elsewhere.id)).toMatchObject({ outgoing: true, observed: { outgoing: true } });
  });

  it("stays off until the next Restart when it is switched on, and the API says that too", async () => {
    expect(await set(orders, true)).toMatchObject({ outgoing: true, observed: { outgoing: false } });
    expect(await isGreeted(orders, outsideAddresses()[0] ?? "")).toBe(false);
  });

  it("is on after a Restart: what listens outside sees the database", async () => {
    const address = endpoint(orders, "env").IPAddress;
    const operation = await product.run(orders.id, "restart");
    expect(operation.state).toBe("succeeded");
    expect((await product.log(operation.id)).join("\n")).toMatch(/may open connections to the outside/);
    for (const outside of outsideAddresses()) {
      expect([outside, await isGreeted(orders, outside)]).toEqual([outside, true]);
    }
    expect(seen).toContain(endpoint(orders, "out").IPAddress);
    expect(networkNames(orders)).toEqual([`dflow-env-${here}`, `dflow-out-${here}`]);
    expect(inspect(orders).HostConfig.Dns ?? []).toEqual([]);
    // The proxy's target and the neighbours' name for it.
    expect(endpoint(orders, "env").IPAddress).toBe(address);
    expect(await accepts(address)).toBe(true);
    expect(await reachesDatabase(audit, "orders")).toBe(true);
    await until("the observation", async () => (await product.service(orders.id)).observed.outgoing || undefined);
  });

  it("opens no way between two environments that both have it on, nor around a neighbour", async () => {
    for (const [from, to] of [
      [orders, elsewhere],
      [elsewhere, orders],
    ] as const) {
      expect(await reachesDatabase(from, endpoint(to, "out").IPAddress)).toBe(false);
      expect(await reachesDatabase(from, endpoint(to, "env").IPAddress)).toBe(false);
    }
    expect(await reachesDatabase(orders, bystander.address)).toBe(false);
    await set(audit, true);
    expect((await product.run(audit.id, "restart")).state).toBe("succeeded");
    expect(await reachesDatabase(orders, endpoint(audit, "out").IPAddress)).toBe(false);
    expect(await reachesDatabase(orders, "audit")).toBe(true);
    await set(audit, false);
    expect((await product.run(audit.id, "restart")).state).toBe("succeeded");
  });

  it("is off again after it was switched off and restarted, and the way out is gone", async () => {
    await set(orders, false);
    seen.length = 0;
    expect((await product.run(orders.id, "restart")).state).toBe("succeeded");
    for (const outside of outsideAddresses()) {
      expect([outside, await isGreeted(orders, outside)]).toEqual([outside, false]);
    }
    expect(seen).toEqual([]);
    expect(networkNames(orders)).toEqual([`dflow-env-${here}`]);
    expect(objectsOf(product.serverId).networks.toSorted()).toEqual(
      [`dflow-env-${here}`, `dflow-env-${there}`, `dflow-out-${there}`].toSorted(),
    );
    await until("the observation", async () => (await product.service(orders.id)).observed.outgoing === false);
  });

  it("leaves no network behind when the services are deleted", async () => {
    for (const { id } of [orders, audit, elsewhere]) {
      const operation = await product.call<{ id: string }>("DELETE", `/services/${id}?data=true`);
      expect((await product.ended(operation.id)).state).toBe("succeeded");
    }
    expect(objectsOf(product.serverId)).toEqual({ containers: [], volumes: [], networks: [] });
  });
});
