/** The agents' side on a loopback port with a real database, and rows to work with. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Event, LINK_LIMITS, type OperationKind } from "@dflow/protocol";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { pino } from "pino";
import { type Limits, parseConfig } from "../../config.ts";
import { createDatabase } from "../../db/database.ts";
import { migrate } from "../../db/migrate.ts";
import type { Deps } from "../../deps.ts";
import { createEventHub } from "../../events/hub.ts";
import type { ApiEnv } from "../../http/context.ts";
import { createPlatform, type Platform } from "../../platform.ts";
import { loadKeys } from "../../secrets/key-files.ts";
import { createSeals, serviceSecretPlace } from "../../secrets/seals.ts";
import { createSigner } from "../../secrets/signer.ts";
import { createAgents } from "../create-agents.ts";
import { newEnrolmentToken } from "../enrolment-token.ts";
import { enrolBy, type FakeIdentity, type FakeSocket, newKey, openAnswer, openSocket } from "./fake-agent.ts";

export interface HarnessOptions {
  heartbeatMs?: number;
  linkDeadlineMs?: number;
  platform?: Platform;
  publicUrl?: string;
  limits?: Partial<Limits>;
}

export type Harness = Awaited<ReturnType<typeof startHarness>>;

export async function startHarness(options: HarnessOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), "dflow-agents-"));
  const platform = options.platform ?? createPlatform();
  const { clock, random } = platform;
  const db = createDatabase(join(folder, "test.db"));
  await migrate(db);
  const keys = await loadKeys(folder, random);
  const hub = createEventHub("test");
  const deps: Deps = {
    ...platform,
    db,
    hub,
    log: pino({ level: process.env.TEST_LOG ?? "silent" }),
    seals: createSeals(keys.sealing),
    signer: await createSigner(keys),
    sessionSecret: keys.sessionSecret,
    config: parseConfig(
      {
        publicUrl: options.publicUrl ?? "https://dflow.example",
        logLevel: "silent",
        limits: options.limits ?? {},
        heartbeatMs: options.heartbeatMs ?? 10_000,
        linkDeadlineMs: options.linkDeadlineMs ?? 30_000,
      },
      { dataDir: folder },
    ),
  };
  const workspaceId = random.id();
  await db.insertInto("workspace").values({ id: workspaceId, name: "Test", created_at: clock.now() }).execute();
  const events: Event[] = [];
  hub.subscribe(workspaceId, undefined, (_, event) => events.push(event));

  const sockets: FakeSocket[] = [];
  const startAgents = async (port = 0) => {
    const agents = createAgents(deps);
    await agents.start();
    const app = new Hono<ApiEnv>();
    app.use(async (c, next) => {
      c.set("requestId", random.id());
      c.set("clientAddress", "127.0.0.1");
      await next();
    });
    app.route("/", agents.routes);
    const server = createServer(getRequestListener(app.fetch));
    agents.attach(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const stop = async (): Promise<void> => {
      await agents.stop();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    const connections = () =>
      new Promise<number>((resolve, reject) =>
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
      );
    return { agents, port: (server.address() as AddressInfo).port, stop, connections };
  };
  let running = await startAgents();

  const harness = {
    deps,
    db,
    events,
    workspaceId,
    get agents() {
      return running.agents;
    },
    baseUrl: `http://127.0.0.1:${running.port}`,
    socketUrl: `ws://127.0.0.1:${running.port}/agent/v1`,
    controlPlaneId: deps.signer.controlPlaneId,

    /** How many TCP connections the listener holds. */
    connections: () => running.connections(),

    /** Ends this control plane and starts another on the same rows and port. */
    async restart(): Promise<void> {
      await running.stop();
      running = await startAgents(running.port);
    },

    /** One that re-keys the server, when it is given. */
    async makeToken(serverName = "web", rekeysServerId: string | null = null): Promise<string> {
      const token = newEnrolmentToken({
        kind: rekeysServerId === null ? "join" : "rekey",
        id: random.id(),
        secret: random.bytes(32),
        controlPlaneId: deps.signer.controlPlaneId,
        now: clock.now(),
      });
      await db
        .insertInto("enrolment_token")
        .values({
          ...token.row,
          workspace_id: workspaceId,
          server_name: serverName,
          created_by: null,
          used_at: null,
          used_by_kid: null,
          server_id: null,
          rekeys_server_id: rekeysServerId,
        })
        .execute();
      return token.text;
    },

    async enrolled(serverName = "web"): Promise<FakeIdentity> {
      const key = await newKey();
      const { status, body } = await enrolBy(harness.baseUrl, await harness.makeToken(serverName), key);
      if (status !== 200) throw new Error(`enrolment: ${status} ${JSON.stringify(body)}`);
      const answer = await openAnswer(body.jws, deps.signer.controlPlaneId);
      return { agentId: String(answer.agentId), key, epoch: 0 };
    },

    async open(): Promise<FakeSocket> {
      const socket = await openSocket(harness.socketUrl);
      sockets.push(socket);
      return socket;
    },

    /** Connected, and its session has begun. */
    async connect(agent: FakeIdentity): Promise<FakeSocket> {
      const socket = await harness.open();
      const heard = events.length;
      await socket.authenticate(agent);
      const isOnline = () => events.slice(heard).some(({ type, id }) => type === "server" && id === agent.agentId);
      await until(isOnline, "the session's begin");
      return socket;
    },

    async makeService(serverId: string, name = "db"): Promise<string> {
      const [applicationId, environmentId, serviceId] = [random.id(), random.id(), random.id()];
      const owned = { workspace_id: workspaceId, created_at: clock.now(), deleted_at: null };
      await db
        .insertInto("application")
        .values({ id: applicationId, name: applicationId, ...owned })
        .execute();
      await db
        .insertInto("environment")
        .values({ id: environmentId, application_id: applicationId, server_id: serverId, name: "production", ...owned })
        .execute();
      await db
        .insertInto("service")
        .values({
          id: serviceId,
          environment_id: environmentId,
          server_id: serverId,
          name,
          type: "database",
          engine: "postgres",
          version: "18",
          volume_id: random.id(),
          memory_bytes: null,
          desired: "running",
          observation: null,
          observed_at: null,
          deployed_at: null,
          ...owned,
        })
        .execute();
      const sealed = await deps.seals.seal(serviceSecretPlace(serviceId, "password"), `secret of ${name}`);
      await db
        .insertInto("secret")
        .values({ service_id: serviceId, name: "password", sealed, created_at: clock.now() })
        .execute();
      return serviceId;
    },

    /** An accepted action, as the API writes it: the operation and its outbox row. Call wake() after it. */
    async makeOperation(
      serviceId: string,
      kind: OperationKind = "stop",
      given: { startWithinMs?: number; deleteData?: boolean } = {},
    ): Promise<string> {
      const service = await db.selectFrom("service").selectAll().where("id", "=", serviceId).executeTakeFirstOrThrow();
      const id = random.id();
      const spec = {
        serviceId,
        workspaceId,
        environmentId: service.environment_id,
        name: service.name,
        type: service.type,
        engine: service.engine,
        version: service.version,
        image: "postgres:18-trixie",
        standIn: false,
        volumeId: service.volume_id,
      };
      const args = {
        ...(kind === "deploy" || kind === "restart" ? { spec } : {}),
        ...(kind === "delete" ? { deleteData: given.deleteData ?? false } : {}),
      };
      const now = clock.now();
      await db
        .insertInto("operation")
        .values({
          id,
          workspace_id: workspaceId,
          service_id: serviceId,
          server_id: service.server_id,
          kind,
          state: "queued",
          generation: service.generation + 1,
          args: JSON.stringify(args),
          error: null,
          step: null,
          timings: null,
          created_by_kind: null,
          created_by_name: null,
          created_at: now,
          start_before: now + (given.startWithinMs ?? 60_000),
          run_ms: 60_000,
          sent_at: null,
          started_at: null,
          ended_at: null,
          cancel_requested_at: null,
          lines_total: null,
        })
        .execute();
      const row = {
        server_id: service.server_id,
        service_id: serviceId,
        operation_id: id,
        created_at: now,
        sent_session: null,
      };
      await db
        .insertInto("outbox")
        .values({ ...row, kind: "command" })
        .execute();
      return id;
    },

    operation: (id: string) => db.selectFrom("operation").selectAll().where("id", "=", id).executeTakeFirstOrThrow(),
    service: (id: string) => db.selectFrom("service").selectAll().where("id", "=", id).executeTakeFirstOrThrow(),
    logOf: (id: string) =>
      db.selectFrom("operation_log").selectAll().where("operation_id", "=", id).orderBy("n").execute(),
    outbox: () => db.selectFrom("outbox").selectAll().orderBy("id").execute(),

    async stop(): Promise<void> {
      for (const socket of sockets) socket.cut();
      await running.stop();
      await db.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return harness;
}

/** Waits until something is so; what the test then asserts is on the screen when it never is. */
export async function until(isSo: () => boolean | Promise<boolean>, what = "the condition"): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Long enough for a frame to come back over loopback, for tests that nothing comes. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 80));
}

export const PRE_AUTH_MS = LINK_LIMITS.preAuthMs;
