/** What the pages read, each with its cache key and how often it is asked for again beside the hints. */
import type { Operation } from "@dflow/protocol";
import { isTerminal } from "@dflow/protocol";
import { queryOptions } from "@tanstack/react-query";
import { call, client } from "./api.ts";
import { keys } from "./keys.ts";

/** Observations grow older without any hint; an age on the screen stays true by looking again. */
const OBSERVED_MS = 10_000;
/** An open operation is followed by hints; this only catches one that was lost. */
const OPEN_OPERATION_MS = 5_000;

const byId = (id: string) => ({ params: { path: { id } } });

export const meQuery = queryOptions({
  queryKey: keys.me,
  queryFn: () => call(client.GET("/api/v1/me")),
  staleTime: 60_000,
});

export const enginesQuery = queryOptions({
  queryKey: keys.engines,
  queryFn: async () => (await call(client.GET("/api/v1/engines"))).items,
  staleTime: 300_000,
});

export const serversQuery = (workspaceId: string) =>
  queryOptions({
    queryKey: keys.servers(workspaceId),
    queryFn: async () => (await call(client.GET("/api/v1/workspaces/{id}/servers", byId(workspaceId)))).items,
    refetchInterval: OBSERVED_MS,
  });

export const serverQuery = (id: string) =>
  queryOptions({
    queryKey: keys.server(id),
    queryFn: () => call(client.GET("/api/v1/servers/{id}", byId(id))),
    refetchInterval: OBSERVED_MS,
  });

export const applicationsQuery = (workspaceId: string) =>
  queryOptions({
    queryKey: keys.applications(workspaceId),
    queryFn: async () => (await call(client.GET("/api/v1/workspaces/{id}/applications", byId(workspaceId)))).items,
  });

export const applicationQuery = (id: string) =>
  queryOptions({
    queryKey: keys.application(id),
    queryFn: () => call(client.GET("/api/v1/applications/{id}", byId(id))),
  });

export const environmentQuery = (id: string) =>
  queryOptions({
    queryKey: keys.environment(id),
    queryFn: () => call(client.GET("/api/v1/environments/{id}", byId(id))),
  });

export const environmentServicesQuery = (id: string) =>
  queryOptions({
    queryKey: keys.environmentServices(id),
    queryFn: async () => (await call(client.GET("/api/v1/environments/{id}/services", byId(id)))).items,
    refetchInterval: OBSERVED_MS,
  });

export const serviceQuery = (id: string) =>
  queryOptions({
    queryKey: keys.service(id),
    queryFn: () => call(client.GET("/api/v1/services/{id}", byId(id))),
    refetchInterval: OBSERVED_MS,
  });

export const operationsQuery = (serviceId: string) =>
  queryOptions({
    queryKey: keys.operationsOf(serviceId),
    queryFn: async () => (await call(client.GET("/api/v1/services/{id}/operations", byId(serviceId)))).items,
  });

export const operationQuery = (id: string) =>
  queryOptions({
    queryKey: keys.operation(id),
    queryFn: (): Promise<Operation> => call(client.GET("/api/v1/operations/{id}", byId(id))),
    refetchInterval: ({ state: { data } }) =>
      data !== undefined && isTerminal(data.state) ? false : OPEN_OPERATION_MS,
  });

export const membersQuery = (workspaceId: string) =>
  queryOptions({
    queryKey: keys.members(workspaceId),
    queryFn: async () => (await call(client.GET("/api/v1/workspaces/{id}/members", byId(workspaceId)))).items,
  });

export const invitationsQuery = (workspaceId: string) =>
  queryOptions({
    queryKey: keys.invitations(workspaceId),
    queryFn: async () => (await call(client.GET("/api/v1/workspaces/{id}/invitations", byId(workspaceId)))).items,
  });

export const enrolmentTokenQuery = (id: string) =>
  queryOptions({
    queryKey: keys.enrolmentToken(id),
    queryFn: () => call(client.GET("/api/v1/enrolment-tokens/{id}", byId(id))),
    refetchInterval: ({ state: { data } }) => (data === undefined || data.state === "waiting" ? 3_000 : false),
  });
