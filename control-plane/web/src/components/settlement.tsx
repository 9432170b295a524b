/** Of an operation that ended as unknown: what a person has said of it since, or the way to say it. */
import type { Operation, SettleOperation } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call, client } from "../api.ts";
import { keys } from "../keys.ts";
import { Button } from "../ui/button.tsx";
import { Field, Input } from "../ui/field.tsx";
import { Problem } from "../ui/problem.tsx";
import { Ago } from "./ago.tsx";
import { useRight } from "./workspace.tsx";

export function Settlement({ operation }: { operation: Operation }) {
  const mayOperate = useRight("services.operate");
  const { settlement } = operation;
  if (operation.state !== "unknown") return null;
  if (settlement === null) return mayOperate ? <SettleForm operation={operation} /> : null;
  return (
    <div className="rounded-lg border border-line bg-surface px-4 py-3 text-sm">
      <p>
        Unknown, settled as <strong>{settlement.outcome}</strong> by {settlement.by} <Ago at={settlement.at} />
      </p>
      <p className="mt-0.5 text-soft [overflow-wrap:anywhere]">{settlement.note}</p>
    </div>
  );
}

function SettleForm({ operation }: { operation: Operation }) {
  const queryClient = useQueryClient();
  const [note, setNote] = useState("");
  const settle = useMutation({
    mutationFn: (body: SettleOperation) =>
      call(client.POST("/api/v1/operations/{id}/settle", { params: { path: { id: operation.id } }, body })),
    onSuccess: (answer) => {
      queryClient.setQueryData(keys.operation(operation.id), answer);
      return queryClient.invalidateQueries({ queryKey: keys.operationsOf(operation.serviceId) });
    },
  });
  const asked = (outcome: SettleOperation["outcome"]) => settle.isPending && settle.variables.outcome === outcome;
  const press = (outcome: SettleOperation["outcome"]) => settle.mutate({ outcome, note: note.trim() });
  return (
    <fieldset className="grid gap-3 rounded-lg border border-line bg-surface px-4 py-3 text-sm">
      <legend className="sr-only">Settle this operation</legend>
      <Field label="What did you see?" help="You can settle it once. The outcome itself stays unknown.">
        {(ids) => <Input {...ids} value={note} maxLength={500} onChange={(event) => setNote(event.target.value)} />}
      </Field>
      {settle.error !== null && <Problem error={settle.error} />}
      <div className="flex flex-wrap gap-2">
        <Button size="sm" disabled={note.trim() === ""} busy={asked("succeeded")} onClick={() => press("succeeded")}>
          Settle as succeeded
        </Button>
        <Button size="sm" disabled={note.trim() === ""} busy={asked("failed")} onClick={() => press("failed")}>
          Settle as failed
        </Button>
      </div>
    </fieldset>
  );
}
