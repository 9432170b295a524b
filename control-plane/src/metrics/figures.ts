/** The control plane's figures of this moment, each read where it is true: rows, links, the hub, the process. */
import { OPEN_OPERATION_STATES } from "@dflow/protocol";
import type { RoomDeps } from "../deps.ts";
import { CONTROL_PLANE_VERSION } from "../version.ts";
import type { Lag } from "./event-loop.ts";
import { gauge, type Metric } from "./prometheus.ts";

export interface ProcessFigures {
  rssBytes: number;
  lag: Lag;
  openLogs: number;
}

export async function figures(
  { db, agents, hub }: Pick<RoomDeps, "db" | "agents" | "hub">,
  { rssBytes, lag, openLogs }: ProcessFigures,
): Promise<Metric[]> {
  const servers = await db.selectFrom("server").select("id").where("deleted_at", "is", null).execute();
  const online = servers.filter(({ id }) => agents.link(id).state === "online").length;
  const open = await db
    .selectFrom("operation")
    .select(["state", (row) => row.fn.countAll<number>().as("count")])
    .where("state", "in", OPEN_OPERATION_STATES)
    .groupBy("state")
    .execute();
  const outbox = await db
    .selectFrom("outbox")
    .select((row) => row.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  const refusals = agents.refusals();
  return [
    {
      ...gauge("dflow_info", "The control plane's version.", 1),
      samples: [{ labels: { version: CONTROL_PLANE_VERSION }, value: 1 }],
    },
    gauge("dflow_servers", "Servers that are enrolled.", servers.length),
    gauge("dflow_agents_connected", "Agents whose connection is open and answered in time.", online),
    {
      name: "dflow_agent_upgrades_refused_total",
      help: "Agents' handshakes that were refused: 429 is the limit of an address, 503 that of all together.",
      type: "counter",
      samples: [
        { labels: { status: "429" }, value: refusals.tooMany },
        { labels: { status: "503" }, value: refusals.busy },
      ],
    },
    {
      name: "dflow_agents_over_budget_total",
      help: "Connections of agents that were closed because they sent more than they may.",
      type: "counter",
      samples: [{ value: refusals.overBudget }],
    },
    {
      name: "dflow_operations_open",
      help: "Operations that have not ended, by state.",
      type: "gauge",
      samples: OPEN_OPERATION_STATES.map((state) => ({
        labels: { state },
        value: open.find((row) => row.state === state)?.count ?? 0,
      })),
    },
    gauge("dflow_outbox_waiting", "Commands and cancels that their agent has not acknowledged.", outbox.count),
    gauge("dflow_event_subscribers", "Open event streams and followed operation logs.", hub.subscriberCount()),
    gauge("dflow_container_log_streams", "Container logs that are being read through agents.", openLogs),
    gauge("dflow_process_resident_memory_bytes", "Memory of the process (RSS).", rssBytes),
    {
      name: "dflow_event_loop_lag_seconds",
      help: "How late timers ran in the last full minute; quantile 1 is the worst.",
      type: "gauge",
      samples: [
        { labels: { quantile: "0.5" }, value: lag.medianS },
        { labels: { quantile: "0.99" }, value: lag.p99S },
        { labels: { quantile: "1" }, value: lag.worstS },
      ],
    },
  ];
}
