/** Agents whose open container logs are counted on the way through. */
import type { Agents } from "../agents/agents.ts";

export interface CountedAgents {
  agents: Agents;
  openLogs(): number;
}

export function countLogStreams(agents: Agents): CountedAgents {
  const open = new Set<symbol>();
  return {
    openLogs: () => open.size,
    agents: {
      ...agents,
      openLog(serverId, request, listener) {
        const stream = Symbol(request.serviceId);
        open.add(stream);
        try {
          const log = agents.openLog(serverId, request, {
            onLine: (line) => listener.onLine(line),
            onGap: () => listener.onGap(),
            onEnd(reason, error) {
              open.delete(stream);
              listener.onEnd(reason, error);
            },
          });
          return {
            close() {
              open.delete(stream);
              log.close();
            },
          };
        } catch (error) {
          open.delete(stream);
          throw error;
        }
      },
    },
  };
}
