/** The address under which people outside reach the server: seen from the agent's connection, or said by an admin. */
import type { Server } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { keys } from "../../keys.ts";
import { Button } from "../../ui/button.tsx";
import { Card } from "../../ui/card.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Field, Input } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { notify } from "../../ui/toast.tsx";

export function PublicAddressForm({ server, mayWrite }: { server: Server; mayWrite: boolean }) {
  const queryClient = useQueryClient();
  const [host, setHost] = useState(server.publicHost ?? "");
  const save = useMutation({
    mutationFn: (publicHost: string | null) =>
      call(client.PATCH("/api/v1/servers/{id}", { params: { path: { id: server.id } }, body: { publicHost } })),
    onSuccess: (updated) => {
      queryClient.setQueryData(keys.server(server.id), updated);
      notify.done("Public address saved");
    },
  });
  const source =
    server.publicHostSource === "admin"
      ? "Set by an admin."
      : server.publicHostSource === "socket"
        ? "The address its agent connects from."
        : "Known once its agent connects.";
  if (!mayWrite) {
    return (
      <Card title="Public address" help={source}>
        <p className="px-4 py-3 font-mono text-code">{server.publicHost ?? "Not known"}</p>
      </Card>
    );
  }
  const wrong = fieldError(save.error, "publicHost");
  return (
    <Card title="Public address">
      <form
        className="grid gap-3 px-4 py-4"
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate(host.trim() === "" ? null : host.trim());
        }}
      >
        <Field
          label="Host name or IP address"
          help={server.publicHostSource === "socket" ? source : `${source} Empty: the address its agent connects from.`}
          error={wrong}
        >
          {(ids) => (
            <Input
              {...ids}
              value={host}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              mono
              onChange={(event) => {
                setHost(event.target.value);
                if (save.isError) save.reset();
              }}
            />
          )}
        </Field>
        {save.error !== null && wrong === undefined && <Problem error={save.error} />}
        <Button
          type="submit"
          className="w-fit"
          busy={save.isPending}
          disabled={host.trim() === (server.publicHost ?? "")}
        >
          Save address
        </Button>
      </form>
    </Card>
  );
}
