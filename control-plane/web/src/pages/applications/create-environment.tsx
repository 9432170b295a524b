/** Creates an environment on one of the workspace's servers. */
import type { Application } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { call, client } from "../../api.ts";
import { useRight } from "../../components/workspace.tsx";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { serversQuery } from "../../queries.ts";
import { Button, buttonClass } from "../../ui/button.tsx";
import { fieldError } from "../../ui/describe-error.ts";
import { Dialog, DialogActions } from "../../ui/dialog.tsx";
import { Field, Input, Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import { Skeleton } from "../../ui/skeleton.tsx";

interface CreateEnvironmentProps {
  application: Application;
  open: boolean;
  onClose: () => void;
}

export function CreateEnvironmentDialog({ application, open, onClose }: CreateEnvironmentProps) {
  const { data: servers } = useQuery({ ...serversQuery(application.workspaceId), enabled: open });
  return (
    <Dialog open={open} onClose={onClose} title="Create environment">
      {servers === undefined ? (
        <Skeleton className="h-32" />
      ) : servers.length === 0 ? (
        <NoServer onClose={onClose} />
      ) : (
        <CreateForm application={application} servers={servers} onClose={onClose} />
      )}
    </Dialog>
  );
}

function NoServer({ onClose }: { onClose: () => void }) {
  const mayAdd = useRight("servers.write");
  return (
    <>
      <p className="text-sm text-soft">
        An environment lives on a server, and this workspace has none yet.{" "}
        {!mayAdd && "Ask an admin of this workspace to add one."}
      </p>
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        {mayAdd && (
          <Link to={paths.servers} search={{ add: true }} className={buttonClass("primary")}>
            Add server
          </Link>
        )}
      </DialogActions>
    </>
  );
}

interface CreateFormProps {
  application: Application;
  servers: readonly { id: string; name: string; link: string }[];
  onClose: () => void;
}

function CreateForm({ application, servers, onClose }: CreateFormProps) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [serverId, setServerId] = useState(servers[0]?.id ?? "");
  const create = useMutation({
    mutationFn: () =>
      call(
        client.POST("/api/v1/applications/{id}/environments", {
          params: { path: { id: application.id } },
          body: { name: name.trim(), serverId },
        }),
      ),
    onSuccess: async (environment) => {
      queryClient.setQueryData(keys.environment(environment.id), environment);
      void queryClient.invalidateQueries({ queryKey: keys.application(application.id) });
      void queryClient.invalidateQueries({ queryKey: keys.allApplications });
      await navigate({ to: paths.environment, params: { environmentId: environment.id }, replace: true });
    },
  });
  const { reset } = create;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a changed form has not been refused yet
  useEffect(() => reset(), [name, serverId, reset]);
  const wrongName = fieldError(create.error, "name");
  const wrongServer = fieldError(create.error, "serverId");
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() !== "") create.mutate();
      }}
    >
      <Field label="Name" error={wrongName}>
        {(ids) => (
          <Input
            {...ids}
            value={name}
            maxLength={60}
            placeholder="production"
            autoComplete="off"
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      <Field label="Server" help="Everything in the environment runs on this server." error={wrongServer}>
        {(ids) => (
          <Select {...ids} value={serverId} onChange={(event) => setServerId(event.target.value)}>
            {servers.map((server) => (
              <option key={server.id} value={server.id}>
                {server.name}
                {server.link === "online" ? "" : server.link === "quarantined" ? " (quarantined)" : " (not connected)"}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {create.error !== null && wrongName === undefined && wrongServer === undefined && (
        <Problem error={create.error} />
      )}
      <DialogActions>
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" variant="primary" busy={create.isPending} disabled={name.trim() === ""}>
          Create environment
        </Button>
      </DialogActions>
    </form>
  );
}
