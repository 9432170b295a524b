/** Follows an accepted operation with one toast: queued, with a link to it, and then its outcome. */
import { isTerminal, type Operation } from "@dflow/protocol";
import { type QueryClient, QueryObserver } from "@tanstack/react-query";
import { isApiError } from "../api.ts";
import { keys } from "../keys.ts";
import { operationQuery } from "../queries.ts";
import { notify, type ToastLink } from "../ui/toast.tsx";
import { outcome, queuedTitle } from "./operation-words.ts";

interface Follow {
  queryClient: QueryClient;
  operation: Operation;
  serviceName: string;
  link?: ToastLink;
  onEnd?: (operation: Operation) => void;
}

export function followOperation({ queryClient, operation, serviceName, link, onEnd }: Follow): void {
  queryClient.setQueryData(keys.operation(operation.id), operation);
  const id = `operation-${operation.id}`;
  const end = (ended: Operation) => {
    const { good, title, description } = outcome(ended, serviceName);
    const text = { id, link: ended.kind === "delete" && good ? undefined : link, description };
    if (good) notify.done(title, text);
    else if (ended.state === "cancelled") notify.info(title, text);
    else notify.failed(title, text);
    void queryClient.invalidateQueries({ queryKey: keys.service(ended.serviceId) });
    onEnd?.(ended);
  };
  if (isTerminal(operation.state)) {
    end(operation);
    return;
  }

  notify.pending(queuedTitle(operation.kind, serviceName), { id, link });
  const observer = new QueryObserver(queryClient, operationQuery(operation.id));
  const stop = observer.subscribe(({ data, error }) => {
    if (data !== undefined && isTerminal(data.state)) {
      stop();
      end(data);
    } else if (isApiError(error) && error.code === "not_found") {
      stop();
      // The record goes with the service: of a deletion that is the proof that it is done.
      if (operation.kind === "delete") end({ ...operation, state: "succeeded" });
      else notify.dismiss(id);
    } else if (isApiError(error) && error.code === "unauthenticated") {
      stop();
      notify.dismiss(id);
    }
  });
}
