/** The log of one operation with what belongs to it: its error in words, where its time went, and what can be done about it. */
import { isTerminal, type Operation } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { call, client } from "../api.ts";
import { duration } from "../format.ts";
import { keys } from "../keys.ts";
import { operationQuery, serviceQuery } from "../queries.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/code.tsx";
import { Problem } from "../ui/problem.tsx";
import { notify } from "../ui/toast.tsx";
import { logText } from "./log-buffer.ts";
import { LogView } from "./log-view.tsx";
import { operationNoun } from "./operation-words.ts";
import { Settlement } from "./settlement.tsx";
import { useOperationLog } from "./use-operation-log.ts";
import { useRight } from "./workspace.tsx";

export function OperationLog({ operation: given }: { operation: Operation }) {
  const { data: operation = given } = useQuery({ ...operationQuery(given.id), initialData: given });
  const { buffer, connection, error } = useOperationLog(operation.id);
  const open = !isTerminal(operation.state);
  return (
    <div className="grid gap-3">
      {operation.error !== null && <Failure operation={operation} />}
      <Settlement operation={operation} />
      {error !== undefined && <Problem title="The log cannot be read" error={error} />}
      <div className="overflow-hidden rounded-lg border border-line">
        <div className="flex min-h-10 flex-wrap items-center justify-between gap-2 border-b border-line bg-surface py-1 pr-1 pl-3">
          <p role="status" className="text-xs text-soft">
            {open ? openWords(operation, connection) : closedWords(operation, buffer.nextKey)}
          </p>
          <span className="flex items-center gap-1">
            <CopyButton text={() => Promise.resolve(logText(buffer, true))} label="log" />
            {open && <LookAgainButton operation={operation} />}
            {open && <CancelButton operation={operation} />}
          </span>
        </div>
        <LogView
          label={`Log of the ${operationNoun(operation.kind).toLowerCase()}`}
          buffer={buffer}
          empty={connection === "ended" ? "Nothing was written to this log." : "Waiting for the first line."}
          className="max-h-96 min-h-20"
        />
      </div>
    </div>
  );
}

function openWords(operation: Operation, connection: string): string {
  if (connection === "reconnecting") return "The control plane does not answer; trying again.";
  if (operation.cancelRequestedAt !== null) return "Cancel was asked for; waiting for the server to confirm.";
  if (operation.state !== "running") return "Waiting for the server to take it up.";
  return operation.step === null ? "Running." : `Running: ${operation.step}.`;
}

function closedWords(operation: Operation, lines: number): string {
  const { timings } = operation;
  const count = `${lines} line${lines === 1 ? "" : "s"}`;
  if (timings === null) return count;
  const parts = [`${duration(timings.totalMs)} in all`];
  if (timings.pullMs > 0) parts.push(`${duration(timings.pullMs)} pulling the image`);
  if (timings.engineMs > 0) parts.push(`${duration(timings.engineMs)} waiting for the database`);
  return `${count} · ${parts.join(", ")}`;
}

function Failure({ operation }: { operation: Operation }) {
  if (operation.error === null) return null;
  const { code, message, hint } = operation.error;
  return (
    <div role="alert" className="rounded-lg border border-bad-mark/40 bg-bad-soft px-4 py-3 text-sm">
      <p className="[overflow-wrap:anywhere]">{message}</p>
      {hint !== undefined && <p className="mt-0.5 text-soft">{hint}</p>}
      <p className="mt-1 font-mono text-xs text-soft">{code}</p>
    </div>
  );
}

/** For one whose server is away: when it is back it is asked at once, instead of when its absence is noticed. */
function LookAgainButton({ operation }: { operation: Operation }) {
  const mayOperate = useRight("services.operate");
  const { data: service } = useQuery(serviceQuery(operation.serviceId));
  const look = useMutation({
    mutationFn: () =>
      call(client.POST("/api/v1/operations/{id}/look-again", { params: { path: { id: operation.id } } })),
    onError: (error) => notify.problem("Not asked again", error),
  });
  const isAway = service !== undefined && service.server.link !== "online";
  if (!mayOperate || !isAway || operation.sentAt === null) return null;
  return (
    <Button size="sm" busy={look.isPending} disabled={look.isSuccess} onClick={() => look.mutate()}>
      {look.isSuccess ? "Asked again" : "Look again"}
    </Button>
  );
}

function CancelButton({ operation }: { operation: Operation }) {
  const queryClient = useQueryClient();
  const mayOperate = useRight("services.operate");
  const cancel = useMutation({
    mutationFn: () => call(client.POST("/api/v1/operations/{id}/cancel", { params: { path: { id: operation.id } } })),
    onSuccess: (answer) => {
      queryClient.setQueryData(keys.operation(operation.id), answer);
      return queryClient.invalidateQueries({ queryKey: keys.operationsOf(operation.serviceId) });
    },
    onError: (error) => notify.problem("Not cancelled", error),
  });
  if (!mayOperate) return null;
  return (
    <Button size="sm" busy={cancel.isPending || operation.cancelRequestedAt !== null} onClick={() => cancel.mutate()}>
      {operation.cancelRequestedAt === null ? "Cancel" : "Cancelling"}
    </Button>
  );
}
