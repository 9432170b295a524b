/** Where schedules play: one product with its own engine, link and disks, and the faults and actions that can be done to it. */
import { join } from "node:path";
import type { Service } from "@dflow/protocol";
import { type LinkProxy, startLinkProxy } from "../support/link-proxy.ts";
import { type OwnEngine, startOwnEngine } from "../support/own-engine.ts";
import { type Answer, clientImage, type Product, startProduct } from "../support/product.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { until } from "../support/until.ts";
import type { Action, Fault } from "./schedule.ts";

const DISK_MIB = 64;
const READY_MS = 60_000;
const RATE_LIMITED_MS = 2_000;
/** Every request counts for the key that it carries; one key alone would soon be over its limit. */
const KEYS = 6;

export interface Stage {
  product: Product;
  engine: OwnEngine;
  environmentId: string;
  /** Like the product's, and waits where the API limits the rate. */
  ask: Product["ask"];
  strike(fault: Fault): Promise<void>;
  heal(fault: Fault): Promise<void>;
  /** Asks for it and gives the answer's status; undefined when there was none. */
  act(action: Action): Promise<{ status: number | undefined; code: string | undefined; createdIds: string[] }>;
  services(): Promise<Service[]>;
  /** Services whose database was given a row that names it. */
  marked: Set<string>;
  /** Makes as many services as there should be, deployed, and removes those that are too many. */
  fillUp(): Promise<void>;
  remove(): Promise<void>;
}

export async function setStage(slots: number): Promise<Stage> {
  const undo: (() => Promise<void> | void)[] = [];
  const remove = async () => {
    const failures: unknown[] = [];
    for (const step of undo.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        // In the middle of a schedule something is dead; what comes after is cleared away all the same.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "clear the stage away");
  };
  try {
    const engine = await startOwnEngine([clientImage()]);
    undo.push(() => engine.remove());
    const link = await startLinkProxy();
    undo.push(() => link.close());
    let disks: { agent: SmallDisk; controlPlane: SmallDisk } | undefined;
    const product = await startProduct({
      engine,
      link,
      agentConfig: { stopGraceMs: 5_000 },
      home: {
        prepare(home) {
          const agent = mountSmallDisk(join(home, "agent"), DISK_MIB);
          disks = { agent, controlPlane: mountSmallDisk(join(home, "control-plane"), DISK_MIB) };
        },
        release() {
          disks?.agent.unmount();
          disks?.controlPlane.unmount();
        },
      },
    });
    undo.push(() => product.stop());
    if (disks === undefined) throw new Error("the product has no disks");
    return { ...(await play(product, engine, link, disks, slots)), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function play(
  product: Product,
  engine: OwnEngine,
  link: LinkProxy,
  disks: { agent: SmallDisk; controlPlane: SmallDisk },
  slots: number,
): Promise<Omit<Stage, "remove">> {
  const environmentId = await product.environment("chaos");
  await product.spreadOver(KEYS);
  let made = 0;
  const ask: Product["ask"] = async <T>(method: string, path: string, body?: unknown, key?: string) => {
    const endMs = performance.now() + READY_MS;
    for (;;) {
      const answer = await product.ask<T>(method, path, body, key);
      // All witnesses of twenty services, again and again, are more than the API allows one address in a minute.
      if (answer.status !== 429 || performance.now() > endMs) return answer;
      await new Promise((done) => setTimeout(done, RATE_LIMITED_MS));
    }
  };
  const newName = () => {
    made += 1;
    return `db-${made}`;
  };

  const services = async () => {
    const { status, body } = await ask<{ items: Service[] }>("GET", `/environments/${environmentId}/services`);
    if (status !== 200) throw new Error(`list services: ${status}`);
    return body.items;
  };

  /** While the control plane is dead there is no answer, and nobody knows whether it was accepted. */
  const attempt = async <T>(work: () => Promise<Answer<T>>): Promise<Answer<T> | undefined> => {
    try {
      return await work();
    } catch (error) {
      const text = `${String(error)} ${error instanceof Error ? String(error.cause) : ""}`;
      if (/fetch failed|ECONNREFUSED|ECONNRESET|other side closed|socket hang up|TimeoutError/.test(text))
        return undefined;
      throw error;
    }
  };

  const strikes: Record<Fault, () => Promise<void> | void> = {
    "agent killed": () => product.agent.kill(),
    "control plane killed": () => product.controlPlane.kill(),
    "dockerd killed": () => engine.kill("daemon"),
    "dockerd and all containers killed": () => engine.kill("everything"),
    "link cut": () => link.set("cut"),
    "link black hole": () => link.set("black hole"),
    "agent's disk full": () => disks.agent.fill("journal.db"),
    "control plane's disk full": () => disks.controlPlane.fill("control-plane.sqlite"),
  };
  const heals: Record<Fault, () => Promise<void> | void> = {
    "agent killed": () => product.agent.start(),
    "control plane killed": () => product.controlPlane.start(),
    "dockerd killed": () => engine.start(),
    "dockerd and all containers killed": () => engine.start(),
    "link cut": () => link.set("open"),
    "link black hole": () => link.set("open"),
    "agent's disk full": () => disks.agent.free(),
    "control plane's disk full": () => disks.controlPlane.free(),
  };

  return {
    product,
    engine,
    environmentId,
    ask,
    services,
    marked: new Set(),
    strike: async (fault) => strikes[fault](),
    heal: async (fault) => heals[fault](),
    async act({ wish, slot, deleteData }) {
      const listed = await attempt(() => ask<{ items: Service[] }>("GET", `/environments/${environmentId}/services`));
      const all = listed?.status === 200 ? listed.body.items : [];
      const target = all[slot % Math.max(1, all.length)];
      if (target === undefined) return { status: listed?.status, code: undefined, createdIds: [] };
      const answerOf = <T>(answer: Answer<T> | undefined) => ({
        status: answer?.status,
        code: (answer?.body as { code?: string } | undefined)?.code,
      });
      if (wish === "cancel") {
        const open = all.find(({ openOperation }) => openOperation !== null)?.openOperation;
        if (open === undefined || open === null)
          return { status: undefined, code: "nothing to cancel", createdIds: [] };
        return { ...answerOf(await attempt(() => ask("POST", `/operations/${open.id}/cancel`))), createdIds: [] };
      }
      if (wish !== "replace") {
        const answer = await attempt(() => ask("POST", `/services/${target.id}/${wish}`));
        return { ...answerOf(answer), createdIds: [] };
      }
      const removed = await attempt(() => ask("DELETE", `/services/${target.id}?data=${deleteData}`));
      if (removed?.status !== 202) return { ...answerOf(removed), createdIds: [] };
      const body = { type: "database", engine: "postgres", version: target.version, name: newName() };
      const created = await attempt(() => ask<Service>("POST", `/environments/${environmentId}/services`, body));
      if (created?.status !== 201) return { ...answerOf(created), createdIds: [] };
      const answer = await attempt(() => ask("POST", `/services/${created.body.id}/deploy`));
      return { ...answerOf(answer), createdIds: [created.body.id] };
    },
    async fillUp() {
      const found = await services();
      for (const { id } of found.slice(slots)) await ask("DELETE", `/services/${id}?data=true`);
      const kept = found.slice(0, slots);
      while (kept.length < slots) kept.push(await product.createService(environmentId, newName()));
      // Also those that a schedule left undeployed: it begins with twenty databases.
      const begun = await Promise.all(
        kept.map(async ({ id }) => {
          const { status, body } = await ask<{ id: string }>("POST", `/services/${id}/deploy`);
          return status === 202 ? [body.id] : [];
        }),
      );
      for (const operationId of begun.flat()) await product.ended(operationId);
      await until("the surplus to be gone", async () => (await services()).length === slots, READY_MS);
    },
  };
}
