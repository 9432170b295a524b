/** GET /metrics: figures of the whole control plane for Prometheus. No names, no ids, no secrets. */
import { AppError } from "@dflow/protocol";
import { createMiddleware } from "hono/factory";
import { principalOfApiKey } from "../auth/api-key.ts";
import type { RoomDeps } from "../deps.ts";
import type { ApiEnv } from "../http/context.ts";
import { type ApiRouter, createRouter } from "../http/router.ts";
import { isFromThisMachine } from "./door.ts";
import type { EventLoopMeter } from "./event-loop.ts";
import { figures } from "./figures.ts";
import { PROMETHEUS_CONTENT_TYPE, prometheusText } from "./prometheus.ts";
import type { RequestMeter } from "./request-meter.ts";

interface Meters {
  requests: RequestMeter;
  eventLoop: EventLoopMeter;
  openLogs(): number;
}

/** Around everything else, so that refused requests are counted too. */
export function meterRequests({ clock }: Pick<RoomDeps, "clock">, { requests }: Pick<Meters, "requests">) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const startedAt = clock.monotonicMs();
    await next();
    requests.count(c.res.status, clock.monotonicMs() - startedAt);
  });
}

export function createMetricsRoutes(deps: RoomDeps, { requests, eventLoop, openLogs }: Meters): ApiRouter {
  const router = createRouter();
  router.get("/metrics", async (c) => {
    const remote = c.env?.incoming?.socket.remoteAddress;
    const authorization = c.req.header("Authorization");
    if (authorization !== undefined) await checkKey(deps, authorization);
    else if (!isFromThisMachine(remote, (name) => c.req.header(name), deps.config.publicUrl)) {
      throw new AppError("unauthenticated", "Figures need an API key of role admin.", {
        hint: "Send it as Authorization: Bearer …; dflow-admin create-key makes one.",
      });
    }
    const ofProcess = { rssBytes: rssBytes(), lag: eventLoop.lag(), openLogs: openLogs() };
    const metrics = [...(await figures(deps, ofProcess)), requests.metric()];
    return c.body(prometheusText(metrics), 200, {
      "Content-Type": PROMETHEUS_CONTENT_TYPE,
      "Cache-Control": "no-store",
    });
  });
  return router;
}

async function checkKey(deps: Pick<RoomDeps, "db" | "clock">, authorization: string): Promise<void> {
  const principal = await principalOfApiKey(deps.db, deps.clock, authorization);
  if (principal === undefined) throw new AppError("unauthenticated", "The API key is unknown or expired.");
  if (principal.role !== "admin") throw new AppError("forbidden", "Figures need a key of role admin.");
}

function rssBytes(): number {
  return process.memoryUsage.rss();
}
