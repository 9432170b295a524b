/** kill -9 of the Docker engine under running databases and in the middle of a deploy: nothing is lost, nothing is untrue. */
import type { Credentials, Operation, Service } from "@dflow/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type OwnEngine, startOwnEngine, whyNoOwnEngine } from "../support/own-engine.ts";
import { clientImage, dockerOf, type Product, psql, startProduct } from "../support/product.ts";
import { agreeWithin, disagreements } from "../support/truth.ts";
import { until } from "../support/until.ts";

const obstacle = whyNoOwnEngine();

/**
 * Before it answers again, Docker stops the containers that outlived it, and a Postgres in the middle of its init heeds no
 * signal: the engine is away for the grace time of a stop.
 */
const STOP_GRACE_MS = 5_000;
/** From the engine's first answer on. */
const ALL_TRUE_MS = 30_000;

describe("kill -9 of the Docker engine", () => {
  let engine: OwnEngine;
  let product: Product;
  let environmentId: string;
  let running: Service[];
  let stopped: Service;

  beforeAll(async () => {
    if (obstacle !== undefined) return;
    engine = await startOwnEngine([clientImage()]);
    product = await startProduct({ engine, agentConfig: { stopGraceMs: STOP_GRACE_MS } });
    environmentId = await product.environment();
    running = [
      await product.createService(environmentId, "first"),
      await product.createService(environmentId, "second"),
    ];
    stopped = await product.createService(environmentId, "resting");
    for (const { id } of [...running, stopped]) expect((await product.run(id, "deploy")).state).toBe("succeeded");
    for (const service of [...running, stopped]) {
      expect(await ask(service, `create table kept as select '${service.name}' as name`)).toBe("SELECT 1");
    }
    expect((await product.run(stopped.id, "stop")).state).toBe("succeeded");
  });
  afterAll(async () => {
    await product?.stop();
    await engine?.remove();
  });
  beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

  async function ask(service: Service, sql: string): Promise<string> {
    const { uri } = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);
    return (await psql(environmentId, uri, sql, engine.env)).output.trim();
  }

  /** Ids of all that Docker holds of these services and of their network: who is made anew gets another. */
  function idsOf(services: Service[]): string[] {
    const list = (...args: string[]) =>
      dockerOf(engine.env, ...args)
        .split("\n")
        .filter(Boolean);
    const ofService = services.flatMap(({ id }) => {
      const filter = ["--quiet", "--filter", `label=sh.dflow.service=${id}`];
      return [...list("ps", "--all", "--no-trunc", ...filter), ...list("volume", "ls", ...filter)];
    });
    return [
      ...ofService,
      ...list("network", "ls", "--quiet", "--filter", `label=sh.dflow.environment=${environmentId}`),
    ];
  }

  it.each([
    ["while the containers go on", "daemon"],
    ["and of the containers with it", "everything"],
  ] as const)("%s: it removes nothing, starts what should run, and soon every row is true", async (_what, victim) => {
    const all = [...running, stopped];
    const before = idsOf(all);
    const deploying = await product.createService(environmentId, `dies-with-${victim}`);
    const deploy = await product.call<Operation>("POST", `/services/${deploying.id}/deploy`);
    await until("the deploy's container", async () =>
      /Waiting until postgres answers/.test((await product.log(deploy.id)).join("\n")),
    );

    await engine.kill(victim);
    const killedAtMs = performance.now();
    const seen = await until("the API to say that Docker is away", async () => {
      const now = await Promise.all(all.map(({ id }) => product.service(id)));
      return now.every(({ state }) => state === "unknown") && now;
    });
    const saidAfterMs = performance.now() - killedAtMs;
    for (const { observed, server } of seen) {
      expect(observed.evidence).toMatch(/^Docker does not answer/);
      expect(server.link).toBe("online");
    }
    expect(await disagreements(product, [running[0]?.id ?? ""])).toContainEqual(
      expect.stringMatching(/Docker does not answer/),
    );

    await engine.start();
    const ids = [...all, deploying].map(({ id }) => id);
    const answersAtMs = performance.now();
    const sinceMs = () => Math.round(performance.now() - answersAtMs);
    const states = (services: Service[]) =>
      Promise.all(services.map(async ({ id }) => (await product.service(id)).state));
    const isBack = async () => (await states(running)).every((state) => state === "running");
    await until("what should run to run", isBack, ALL_TRUE_MS);
    const backMs = sinceMs();
    await agreeWithin(product, ids, ALL_TRUE_MS - backMs);
    console.log(
      `engine dies (${victim}): the API says unknown ${Math.round(saidAfterMs)} ms after the kill; from Docker's first ` +
        `answer on, what should run runs after ${backMs} ms and all is true after ${sinceMs()} ms`,
    );

    expect(idsOf(all)).toEqual(before);
    expect(await states(all)).toEqual(["running", "running", "stopped"]);
    for (const service of running) {
      expect(await ask(service, "select name from kept")).toBe(service.name);
    }
    const ended = await product.call<Operation>("GET", `/operations/${deploy.id}`);
    const after = await product.service(deploying.id);
    console.log(`engine dies (${victim}): the deploy ${ended.state}, its service is ${after.state}`);
    expect(["succeeded running", "failed not_deployed"]).toContain(`${ended.state} ${after.state}`);
    if (ended.state === "succeeded") expect(await ask(deploying, "select 1")).toBe("1");
    else expect(idsOf([deploying])).toHaveLength(1);
  });

  it("keeps the data of the one that was stopped all the time", async () => {
    expect((await product.run(stopped.id, "restart")).state).toBe("succeeded");
    expect(await ask(stopped, "select name from kept")).toBe(stopped.name);
  });
});

describe("kill -9 of a Docker engine whose socket somebody holds", () => {
  let engine: OwnEngine;
  let product: Product;
  let service: Service;

  beforeAll(async () => {
    if (obstacle !== undefined) return;
    engine = await startOwnEngine([clientImage()], { heldSocket: true });
    product = await startProduct({ engine, agentConfig: { stopGraceMs: STOP_GRACE_MS } });
    service = await product.createService(await product.environment(), "held");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
  });
  afterAll(async () => {
    await product?.stop();
    await engine?.remove();
  });
  beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

  it("brings back what should run, though no question to Docker was ever refused", async () => {
    const state = async () => (await product.service(service.id)).state;
    const startedAt = async () => (await product.service(service.id)).observed.startedAt;
    const before = await startedAt();
    await engine.kill("daemon");
    await until(
      "the database to have ended",
      async () => (await state()) !== "running" || (await startedAt()) !== before,
    );
    const endedAtMs = performance.now();
    await until("it to run again", async () => (await state()) === "running" && (await startedAt()) !== before);
    await agreeWithin(product, [service.id], ALL_TRUE_MS);
    console.log(
      `engine dies (held socket): true and running ${Math.round(performance.now() - endedAtMs)} ms after it ended`,
    );
  });
});
