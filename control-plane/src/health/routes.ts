/** /healthz: the process answers. /readyz: it can work. Neither says anything about what is inside. */
import { sql } from "kysely";
import { isMigrated } from "../db/migrate.ts";
import type { Deps } from "../deps.ts";
import { type ApiRouter, createRouter } from "../http/router.ts";

export function createHealthRoutes({ db, log }: Pick<Deps, "db" | "log">): ApiRouter {
  const router = createRouter();
  router.get("/healthz", (c) => c.json({ status: "ok" }));
  router.get("/readyz", async (c) => {
    try {
      await sql`select 1`.execute(db);
      if (await isMigrated(db)) return c.json({ status: "ready" });
      return c.json({ status: "not ready", reason: "migrations are missing" }, 503);
    } catch (error) {
      log.error({ err: error }, "the database does not answer");
      return c.json({ status: "not ready", reason: "the database does not answer" }, 503);
    }
  });
  return router;
}
