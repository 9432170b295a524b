/** Asks for an action on a service, follows the operation that comes of it, and brings its log when wanted. */
import type { Operation, Service } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { call, client } from "../api.ts";
import { keys } from "../keys.ts";
import { paths } from "../paths.ts";
import { notify } from "../ui/toast.tsx";
import { followOperation } from "./follow-operation.ts";

export type RunAction = "deploy" | "restart" | "stop" | "check";

const VERBS: Record<RunAction, string> = {
  deploy: "deployed",
  restart: "restarted",
  stop: "stopped",
  check: "checked",
};

export function useShowOperation(service: Pick<Service, "id">): (operationId: string) => void {
  const navigate = useNavigate();
  return (operationId) =>
    void navigate({
      to: paths.service,
      params: { serviceId: service.id },
      search: { tab: "deployments", operation: operationId },
    });
}

export function useServiceAction(service: Service) {
  const queryClient = useQueryClient();
  const showOperation = useShowOperation(service);
  return useMutation({
    mutationFn: ({ action, confirmName }: { action: RunAction; confirmName?: string }): Promise<Operation> => {
      const params = { params: { path: { id: service.id } } };
      const body = confirmName === undefined ? {} : { body: { name: confirmName } };
      switch (action) {
        case "deploy":
          return call(client.POST("/api/v1/services/{id}/deploy", { ...params, ...body }));
        case "restart":
          return call(client.POST("/api/v1/services/{id}/restart", params));
        case "stop":
          return call(client.POST("/api/v1/services/{id}/stop", params));
        case "check":
          return call(client.POST("/api/v1/services/{id}/check", params));
      }
    },
    onSuccess: (operation) => {
      followOperation({
        queryClient,
        operation,
        serviceName: service.name,
        link: { label: "View log", onClick: () => showOperation(operation.id) },
      });
      return Promise.all([
        queryClient.invalidateQueries({ queryKey: keys.service(service.id) }),
        queryClient.invalidateQueries({ queryKey: keys.operationsOf(service.id) }),
      ]);
    },
    onError: (error, { action }) => {
      notify.problem(`${service.name} was not ${VERBS[action]}`, error);
      // What the page offered was not true any more: look again.
      return queryClient.invalidateQueries({ queryKey: keys.service(service.id) });
    },
  });
}
