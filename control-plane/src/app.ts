/** Wires the rooms into one application: routes, the agents' side, the dashboard; start() and stop(). */
import type { Server } from "node:http";
import { AppError } from "@dflow/protocol";
import type { AgentsSide } from "./agents/create-agents.ts";
import { createApiKeyRoutes } from "./api-keys/routes.ts";
import { createApplicationRoutes } from "./applications/routes.ts";
import { createAccess } from "./auth/access.ts";
import { createPeople } from "./auth/people.ts";
import { createAuthRoutes } from "./auth/routes.ts";
import { createContainerLogRoutes } from "./container-logs/routes.ts";
import type { Deps, RoomDeps } from "./deps.ts";
import { createEngineRoutes } from "./engines/routes.ts";
import { createEnrolmentTokenRoutes } from "./enrolment-tokens/routes.ts";
import { createEnvironmentRoutes } from "./environments/routes.ts";
import { createEventRoutes } from "./events/routes.ts";
import { createHealthRoutes } from "./health/routes.ts";
import { authenticate } from "./http/authenticate.ts";
import { type AddressReader, createAddressReader } from "./http/client-address.ts";
import { dashboardFiles } from "./http/dashboard-files.ts";
import { createFrontDoor, type Fetch } from "./http/front-door.ts";
import { createKnownCallers } from "./http/known-callers.ts";
import { identifyRequest, limitBody, limitRatePerPrincipal, securityHeaders } from "./http/middleware.ts";
import { apiDocument, registerSecurity } from "./http/openapi.ts";
import { problemResponse } from "./http/problem.ts";
import { type ApiRouter, createRouter } from "./http/router.ts";
import { createSlowRefusal } from "./http/slow-refusal.ts";
import { createStreamLimit } from "./http/stream-limit.ts";
import { createTurns } from "./http/turns.ts";
import { createInstallRoutes } from "./install/routes.ts";
import { createInvitationRoutes } from "./invitations/routes.ts";
import { createEventLoopMeter } from "./metrics/event-loop.ts";
import { countLogStreams } from "./metrics/log-stream-count.ts";
import { createRequestMeter } from "./metrics/request-meter.ts";
import { createMetricsRoutes, meterRequests } from "./metrics/routes.ts";
import { createOperationRoutes } from "./operations/routes.ts";
import { createSweeper } from "./retention/sweep.ts";
import { createServerRoutes } from "./servers/routes.ts";
import { createServiceRoutes } from "./services/routes.ts";
import { createWorkspaceRoutes } from "./workspaces/routes.ts";

export interface App {
  /** The routes. `fetch` is what stands before them. */
  hono: ApiRouter;
  /** Answers a request, or refuses it at the door. */
  fetch: Fetch;
  addresses: AddressReader;
  /** Takes the server's upgrade requests for agents. Call it after start(). */
  attach(server: Server): void;
  start(): Promise<void>;
  /** Ends open streams and the agents' sockets. */
  stop(): Promise<void>;
}

export async function createApp(deps: Deps, agents: AgentsSide): Promise<App> {
  const stopping = new AbortController();
  const access = createAccess(deps);
  const people = createPeople(deps);
  const streams = createStreamLimit();
  const sweeper = createSweeper(deps);
  const counted = countLogStreams(agents);
  const meters = {
    requests: createRequestMeter(),
    eventLoop: createEventLoopMeter(deps.timers),
    openLogs: counted.openLogs,
  };
  const addresses = createAddressReader(deps.config.trustedProxies);
  const known = createKnownCallers(deps.clock);
  const turns = createTurns(setImmediate);
  const rooms: RoomDeps = { ...deps, access, agents: counted.agents, streams, stopping: stopping.signal };
  const app = createRouter();

  app.onError((error, c) => problemResponse(c, deps.log, error));
  app.notFound((c) => problemResponse(c, deps.log, new AppError("not_found", `There is nothing at ${c.req.path}.`)));
  app.use(meterRequests(deps, meters), identifyRequest({ ...deps, addresses }), securityHeaders(deps));
  app.use("/api/*", limitBody, authenticate(deps, people, known), limitRatePerPrincipal({ ...deps, known }));

  app.route("/api/auth", createAuthRoutes(rooms, people));
  for (const router of [
    createWorkspaceRoutes(rooms),
    createInvitationRoutes(rooms, people),
    createApiKeyRoutes(rooms),
    createServerRoutes(rooms),
    createEnrolmentTokenRoutes(rooms),
    createApplicationRoutes(rooms),
    createEnvironmentRoutes(rooms),
    createServiceRoutes(rooms),
    createContainerLogRoutes(rooms),
    createOperationRoutes(rooms),
    createEngineRoutes(rooms),
    createEventRoutes(rooms),
  ]) {
    app.route("/api/v1", router);
  }
  registerSecurity(app);
  // Asked for without any right, and twenty milliseconds of work: made once, when the last route is there.
  let document: string | undefined;
  app.get("/api/v1/openapi.json", (c) => {
    document ??= JSON.stringify(apiDocument(app));
    return c.body(document, 200, { "Content-Type": "application/json" });
  });

  app.route("/", createHealthRoutes(deps));
  app.route("/", createMetricsRoutes(rooms, meters));
  app.route("/", createInstallRoutes(deps));
  app.route("/", agents.routes);
  if (deps.config.webDir !== undefined) app.use(await dashboardFiles(deps.config.webDir));

  const onRefusal = () => meters.requests.count(429, 0);
  const slow = createSlowRefusal(deps.timers, deps.config.limits.refusalDelayMs);
  const door = createFrontDoor({ ...deps, addresses, known, turns, slow, onRefusal }, (request, bindings) =>
    app.fetch(request, bindings),
  );

  return {
    hono: app,
    fetch: door.fetch,
    addresses,
    attach: agents.attach,
    async start() {
      await agents.start();
      sweeper.start();
      meters.eventLoop.start();
      door.start();
    },
    async stop() {
      stopping.abort();
      meters.eventLoop.stop();
      door.stop();
      await sweeper.stop();
      await agents.stop();
    },
  };
}
