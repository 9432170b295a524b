/** The switch that lets a service reach the outside. The container that runs hears of it at its next Restart. */
import type { Service } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { call, client } from "../../api.ts";
import { OUTGOING_HELP, outgoingWords } from "../../components/outgoing-words.ts";
import { keys } from "../../keys.ts";
import { Card } from "../../ui/card.tsx";
import { Switch } from "../../ui/switch.tsx";
import { notify } from "../../ui/toast.tsx";

export function OutgoingCard({ service }: { service: Service }) {
  const queryClient = useQueryClient();
  const save = useMutation({
    mutationFn: (outgoing: boolean) =>
      call(client.PATCH("/api/v1/services/{id}", { params: { path: { id: service.id } }, body: { outgoing } })),
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.service(service.id), updated);
      const { value, pending } = outgoingWords(updated);
      notify.done(`Outgoing traffic: ${value.toLowerCase()}`, { description: pending });
    },
    onError: (error) => {
      notify.problem(`${service.name} was not changed`, error);
      return queryClient.invalidateQueries({ queryKey: keys.service(service.id) });
    },
  });
  const { verdict, sentence } = service.actions.change;
  const { pending } = outgoingWords(service);
  return (
    <Card title="Network">
      <div className="grid gap-2 px-4 py-4">
        <Switch
          label="Outgoing traffic"
          help={OUTGOING_HELP}
          checked={save.isPending ? save.variables : service.outgoing}
          onChange={(outgoing) => save.mutate(outgoing)}
          refused={verdict === "allowed" ? undefined : (sentence ?? "This cannot be changed at the moment.")}
          busy={save.isPending}
        />
        {pending !== undefined && (
          <p role="status" className="text-sm font-medium">
            {pending}
          </p>
        )}
      </div>
    </Card>
  );
}
