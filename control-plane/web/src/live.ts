/** The event stream's page side: turns hints into refetches of what the screen shows, and says how fresh the screen is. */
import type { Event } from "@dflow/protocol";
import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { keys } from "./keys.ts";
import { type LinkStatus, type LiveMessage, startLiveLink } from "./live-link.ts";
import type { ToWorker } from "./live-worker.ts";
import { streams } from "./paths.ts";

/** What a hint makes stale. Prefixes: only what is on the screen is fetched again. */
export function keysOfHint(event: Event): QueryKey[] {
  const { id, serviceId, environmentId, applicationId } = event;
  switch (event.type) {
    case "server":
      // A link that comes or goes changes the state and the possible actions of everything on that server.
      return [keys.allServers, keys.server(id), keys.allServices, keys.allEnvironmentServices, keys.allEnvironments];
    case "application":
      return [keys.allApplications, keys.application(id)];
    case "environment":
      return [
        keys.environment(id),
        keys.environmentServices(id),
        keys.allApplications,
        applicationId === undefined ? keys.allApplicationItems : keys.application(applicationId),
        keys.allServers,
      ];
    case "service":
      return [
        keys.service(id),
        keys.operationsOf(id),
        environmentId === undefined ? keys.allEnvironmentServices : keys.environmentServices(environmentId),
        environmentId === undefined ? keys.allEnvironments : keys.environment(environmentId),
      ];
    case "operation":
      return [
        keys.operation(id),
        serviceId === undefined ? keys.allOperationLists : keys.operationsOf(serviceId),
        serviceId === undefined ? keys.allServices : keys.service(serviceId),
        environmentId === undefined ? keys.allEnvironmentServices : keys.environmentServices(environmentId),
      ];
    case "operation_log":
      // Open logs follow a stream of their own.
      return [];
    case "enrolment_token":
      return [keys.enrolmentToken(id), keys.allServers];
    case "member":
      return [keys.allMembers, keys.allInvitations, keys.me];
  }
}

/** How fresh the screen is: `catching_up` while what was missed is being asked for. */
export type LiveStatus =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "catching_up" }
  | { state: "offline"; sinceMs: number }
  | { state: "signed_out" };

export interface Live {
  follow(workspaceId: string): () => void;
  status(): LiveStatus;
  subscribe(listener: () => void): () => void;
}

/** Hints come in bursts (an operation touches its service, its list and its server): one refetch a burst. */
const BURST_MS = 60;
/** A steady flow of hints is not answered by a flood of requests: the server allows a person ten a second. */
const REST_MS = 400;

export function createLive(queryClient: QueryClient, connect: typeof connectLive = connectLive): Live {
  let link: LinkStatus = { state: "connecting" };
  let catchingUp = false;
  let joined = false;
  let snapshot: LiveStatus = { state: "connecting" };
  const listeners = new Set<() => void>();
  const waiting = new Map<string, QueryKey>();
  let flushedAtMs = Number.NEGATIVE_INFINITY;

  function publish(): void {
    const next: LiveStatus = link.state === "live" && catchingUp ? { state: "catching_up" } : link;
    if (JSON.stringify(next) === JSON.stringify(snapshot)) return;
    snapshot = next;
    for (const listener of listeners) listener();
  }

  function flush(): void {
    flushedAtMs = performance.now();
    const stale = [...waiting.values()];
    waiting.clear();
    for (const queryKey of stale) void queryClient.invalidateQueries({ queryKey });
  }

  async function catchUp(): Promise<void> {
    catchingUp = true;
    publish();
    await queryClient.invalidateQueries();
    catchingUp = false;
    publish();
  }

  function onMessage(message: LiveMessage): void {
    if (message.type === "status") {
      const opened = link.state === "connecting" && message.status.state === "live" && joined;
      joined = true;
      link = message.status;
      // What was fetched before the stream stood may have changed unheard.
      if (opened) void catchUp();
      publish();
      if (link.state === "signed_out") void queryClient.invalidateQueries({ queryKey: keys.me });
    } else if (message.type === "reset") {
      void catchUp();
    } else {
      const rested = performance.now() - flushedAtMs;
      if (waiting.size === 0) setTimeout(flush, Math.max(BURST_MS, REST_MS - rested));
      for (const key of keysOfHint(message.event)) waiting.set(JSON.stringify(key), key);
    }
  }

  return {
    follow: (workspaceId) => connect(workspaceId, onMessage),
    status: () => snapshot,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Joins the browser's one stream through the shared worker; a browser without shared workers opens its own. */
export function connectLive(workspaceId: string, onMessage: (message: LiveMessage) => void): () => void {
  if (typeof SharedWorker === "undefined") return startLiveLink({ url: streams.events(workspaceId), onMessage });
  const worker = new SharedWorker(new URL("./live-worker.ts", import.meta.url), { type: "module", name: "dflow-live" });
  let direct: (() => void) | undefined;
  const say = (message: ToWorker) => worker.port.postMessage(message);
  worker.port.onmessage = ({ data }: MessageEvent<LiveMessage>) => onMessage(data);
  worker.onerror = () => {
    direct ??= startLiveLink({ url: streams.events(workspaceId), onMessage });
  };
  const join = () => say({ type: "subscribe", workspaceId });
  const leave = () => say({ type: "leave" });
  // A page that goes into the back-forward cache says goodbye, and comes back with a fresh look.
  const onShow = (event: PageTransitionEvent) => {
    if (!event.persisted) return;
    join();
    onMessage({ type: "reset" });
  };
  addEventListener("pagehide", leave);
  addEventListener("pageshow", onShow);
  join();
  return () => {
    removeEventListener("pagehide", leave);
    removeEventListener("pageshow", onShow);
    leave();
    worker.port.close();
    direct?.();
  };
}
