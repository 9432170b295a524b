/** One server: how its agent is, what the machine is, what lives on it, and how to let go of it. */
import type { Server } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Trash2 } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { Ago } from "../../components/ago.tsx";
import { NameDialog } from "../../components/name-dialog.tsx";
import { Page } from "../../components/page.tsx";
import { LinkBadge } from "../../components/state-badge.tsx";
import { GoesAndStays, TypedNameDialog } from "../../components/typed-name.tsx";
import { useRight } from "../../components/workspace.tsx";
import { bytes, count } from "../../format.ts";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { applicationsQuery, serverQuery } from "../../queries.ts";
import { Button } from "../../ui/button.tsx";
import { Card, Fact, Facts } from "../../ui/card.tsx";
import { SkeletonCard } from "../../ui/skeleton.tsx";
import { notify } from "../../ui/toast.tsx";
import { Missing } from "../missing.tsx";
import { PublicAddressForm } from "./public-address.tsx";
import { Quarantine } from "./quarantine.tsx";

export function ServerPage() {
  const { serverId } = useParams({ from: "/app/servers/$serverId" });
  const { data: server, error, refetch } = useQuery(serverQuery(serverId));
  if (server === undefined && error !== null)
    return <Missing what="server" error={error} onRetry={() => void refetch()} />;
  const crumbs = [
    <Link key="servers" to={paths.servers}>
      Servers
    </Link>,
    server?.name ?? "…",
  ];
  return (
    <Page title={server?.name ?? "Server"} crumbs={crumbs} workspaceId={server?.workspaceId}>
      {server === undefined ? <SkeletonCard /> : <ServerDetails server={server} />}
    </Page>
  );
}

function ServerDetails({ server }: { server: Server }) {
  const mayWrite = useRight("servers.write");
  const [renaming, setRenaming] = useState(false);
  return (
    <>
      <div className="mb-5 flex flex-wrap items-start justify-between gap-3">
        <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1">
          <h1 className="text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">{server.name}</h1>
          <LinkBadge link={server.link} lastSeenAt={server.lastSeenAt} />
        </div>
        {mayWrite && <Button onClick={() => setRenaming(true)}>Rename</Button>}
      </div>
      <Quarantine server={server} mayWrite={mayWrite} />
      <div className="grid items-start gap-4 lg:grid-cols-2">
        <FactsCard server={server} />
        <div className="grid gap-4">
          <EnvironmentsCard server={server} />
          <PublicAddressForm key={server.publicHost} server={server} mayWrite={mayWrite} />
          {mayWrite && <DangerZone server={server} />}
        </div>
      </div>
      <RenameDialog server={server} open={renaming} onClose={() => setRenaming(false)} />
    </>
  );
}

function FactsCard({ server }: { server: Server }) {
  const { facts } = server;
  return (
    <Card title="Facts" help={facts === null ? undefined : "As its agent told them when it connected."}>
      <Facts>
        {facts === null ? (
          <Fact name="Machine">Known once its agent connects</Fact>
        ) : (
          <>
            <Fact name="Host name">{facts.hostname}</Fact>
            <Fact name="System">{facts.os}</Fact>
            <Fact name="Kernel">
              {facts.kernel}, {facts.arch}
            </Fact>
            <Fact name="CPUs">{facts.cpus}</Fact>
            <Fact name="Memory">{bytes(facts.memoryBytes)}</Fact>
            {facts.diskBytes !== null && (
              <Fact name="Disk">
                {bytes(facts.diskBytes)}
                {facts.diskFreeBytes !== null && `, ${bytes(facts.diskFreeBytes)} free`}
              </Fact>
            )}
            <Fact name="Docker">
              {facts.dockerVersion === null
                ? "Not found"
                : `${facts.dockerVersion} (API ${facts.dockerApiVersion ?? "unknown"})`}
              {server.dockerOk === false && <span className="text-bad"> does not answer</span>}
            </Fact>
            <Fact name="Agent">
              {facts.agentVersion}
              {server.agentRssBytes !== null && `, uses ${bytes(server.agentRssBytes)}`}
            </Fact>
          </>
        )}
        {server.connectedAt !== null && (
          <Fact name={server.link === "online" ? "Connected" : "Last connected"}>
            <Ago at={server.connectedAt} />
          </Fact>
        )}
        <Fact name="Added">
          <Ago at={server.createdAt} />
        </Fact>
      </Facts>
    </Card>
  );
}

function EnvironmentsCard({ server }: { server: Server }) {
  const { data: applications } = useQuery(applicationsQuery(server.workspaceId));
  const here = (applications ?? []).flatMap((application) =>
    application.environments
      .filter(({ serverId }) => serverId === server.id)
      .map((environment) => ({ ...environment, application: application.name })),
  );
  return (
    <Card title="Environments on this server">
      {here.length === 0 ? (
        <p className="px-4 py-4 text-sm text-soft">{applications === undefined ? "…" : "None. It is free for one."}</p>
      ) : (
        <ul className="divide-y divide-line text-sm">
          {here.map((environment) => (
            <li key={environment.id} className="flex min-h-10 items-center justify-between gap-4 px-4">
              <Link
                to={paths.environment}
                params={{ environmentId: environment.id }}
                className="min-w-0 truncate rounded-sm hover:underline"
              >
                <span className="text-soft">{environment.application} / </span>
                <span className="font-medium">{environment.name}</span>
              </Link>
              <span className="shrink-0 text-soft tabular-nums">{count(environment.serviceCount, "service")}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function RenameDialog({ server, open, onClose }: { server: Server; open: boolean; onClose: () => void }) {
  const queryClient = useQueryClient();
  const rename = async (name: string) => {
    const params = { params: { path: { id: server.id } } };
    const renamed = await call(client.PATCH("/api/v1/servers/{id}", { ...params, body: { name } }));
    queryClient.setQueryData(keys.server(server.id), renamed);
    void queryClient.invalidateQueries({ queryKey: keys.allServers });
    notify.done(`Renamed to ${name}`);
    onClose();
  };
  return (
    <NameDialog
      open={open}
      onClose={onClose}
      title="Rename server"
      label="Name"
      initial={server.name}
      submitLabel="Rename"
      onSubmit={rename}
    />
  );
}

function DangerZone({ server }: { server: Server }) {
  const [open, setOpen] = useState(false);
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => call(client.DELETE("/api/v1/servers/{id}", { params: { path: { id: server.id } } })),
    onSuccess: async () => {
      notify.done(`${server.name} is deleted`);
      await navigate({ to: paths.servers, replace: true });
      queryClient.removeQueries({ queryKey: keys.server(server.id) });
      void queryClient.invalidateQueries({ queryKey: keys.allServers });
    },
  });
  return (
    <Card title="Danger zone" danger>
      <div className="flex flex-wrap items-center justify-between gap-3 px-4 py-3">
        <p className="max-w-sm min-w-0 text-sm text-soft">
          Forgets the server and its agent's key. Refused while an environment lives on it.
        </p>
        <Button variant="danger" onClick={() => setOpen(true)}>
          <Trash2 size={14} aria-hidden="true" />
          Delete server
        </Button>
      </div>
      <TypedNameDialog
        open={open}
        onClose={() => {
          remove.reset();
          setOpen(false);
        }}
        title={`Delete ${server.name}`}
        name={server.name}
        confirmLabel="Delete server"
        onConfirm={() => remove.mutate()}
        busy={remove.isPending}
        error={remove.error}
      >
        <GoesAndStays
          goes={["The server's entry here", "Its agent's right to connect"]}
          stays={["The machine and everything on it", "The agent's program, to be removed there"]}
        />
      </TypedNameDialog>
    </Card>
  );
}
