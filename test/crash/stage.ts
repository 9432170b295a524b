/** Everything a run needs: a product with crash points, a registry to pull from, the actions, and the table they give. */
import { docker } from "../support/docker-engine.ts";
import { clientImage, type Product, startProduct, tryDocker } from "../support/product.ts";
import { startRegistry } from "../support/registry.ts";
import { type Action, createActions } from "./actions.ts";
import { type Row, withoutKnown } from "./rows.ts";
import { traceAction } from "./run-row.ts";

export interface Stage {
  product: Product;
  actionOf(row: Row): Action;
  /** Every action, twice undisturbed. */
  table(): Promise<Row[]>;
  stop(): Promise<void>;
}

/** A control plane that dies every few seconds is this test's doing; in life the agent waits longer each time. */
const FORGIVING = { linkStableMs: 1 };
const LAYER_BYTES = 500_000;

export async function startStage(): Promise<Stage> {
  const registry = await startRegistry({ docker });
  const image = await registry.pushFresh("dflow/postgres:18", [LAYER_BYTES], clientImage());
  const forget = () => tryDocker(["rmi", "-f", image]);
  const product = await startProduct({
    crashPoints: true,
    agentConfig: FORGIVING,
    images: { "18-pulled": { image } },
  });
  // Asking four witnesses several times a second is more than the API allows one key.
  await product.spreadOver(4);
  const environmentId = await product.environment();
  const actions = createActions(product, environmentId, { version: "18-pulled", forget });
  return {
    product,
    actionOf(row) {
      const action = actions.find(({ name }) => name === row.action);
      if (action === undefined) throw new Error(`there is no action "${row.action}"`);
      return action;
    },
    async table() {
      let table: Row[] = [];
      for (const action of actions) {
        const rows = await traceAction(product, action);
        table = [...table, ...(action.name === "deploy with a pull" ? withoutKnown(rows, table) : rows)];
      }
      return table;
    },
    async stop() {
      await product.stop();
      await forget();
      await registry.stop();
    },
  };
}
