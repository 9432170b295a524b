/** GET /engines. */
import { createRoute } from "@hono/zod-openapi";
import type { RoomDeps } from "../deps.ts";
import { Engines } from "../http/components.ts";
import { type ApiRouter, createRouter, json, problems } from "../http/router.ts";
import { listEngines } from "./catalogue.ts";

export function createEngineRoutes({ config }: Pick<RoomDeps, "config">): ApiRouter {
  const router = createRouter();
  router.openapi(
    createRoute({
      method: "get",
      path: "/engines",
      operationId: "listEngines",
      tags: ["Engines"],
      summary: "The database engines and versions that can be chosen",
      responses: { 200: json(Engines, "The catalogue, with this installation's images"), ...problems(401, 429) },
    }),
    (c) => c.json({ items: listEngines(config.imageMap) }, 200),
  );
  return router;
}
