/** All servers of the workspace, with the state of their agents. */
import type { Server } from "@dflow/protocol";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, Server as ServerIcon } from "lucide-react";
import { lazy, Suspense } from "react";
import { Page, PageTitle } from "../../components/page.tsx";
import { SearchInput } from "../../components/search-input.tsx";
import { LinkBadge } from "../../components/state-badge.tsx";
import { useFirstRows } from "../../components/use-first-rows.tsx";
import { useRight, useWorkspace } from "../../components/workspace.tsx";
import { bytes } from "../../format.ts";
import { paths } from "../../paths.ts";
import { serversQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Empty } from "../../ui/empty.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { rowLinkClass, Table, Td, Th, Tr } from "../../ui/table.tsx";

const AddServerDialog = lazy(async () => ({ default: (await import("./add-server.tsx")).AddServerDialog }));

export function ServersPage() {
  const workspace = useWorkspace();
  const mayAdd = useRight("servers.write");
  const { data: servers, error, refetch } = useQuery(serversQuery(workspace.id));
  const { add, q = "" } = useSearch({ from: "/app/servers" });
  const navigate = useNavigate({ from: paths.servers });
  const setAdd = (open: boolean) => void navigate({ search: (now) => ({ ...now, add: open ? true : undefined }) });
  const button = mayAdd && (
    <Button variant="primary" onClick={() => setAdd(true)}>
      <Plus size={15} aria-hidden="true" />
      Add server
    </Button>
  );
  const shown = servers?.filter(({ name, facts }) =>
    `${name} ${facts?.hostname}`.toLowerCase().includes(q.toLowerCase()),
  );
  return (
    <Page title="Servers" crumbs={["Servers"]}>
      <PageTitle
        title="Servers"
        help="Your own machines, each with an agent that connects here."
        actions={servers !== undefined && servers.length > 0 && button}
      />
      {error !== null && servers === undefined && <Problem error={error} onRetry={() => void refetch()} />}
      {error === null && servers === undefined && <SkeletonRows />}
      {servers?.length === 0 && (
        <Empty icon={<ServerIcon size={18} aria-hidden="true" />} title="No servers yet" action={button}>
          {mayAdd
            ? "Add one with a single command on it. It needs Docker and a way out to this control plane, no open port."
            : "Ask an admin of this workspace to add one."}
        </Empty>
      )}
      {shown !== undefined && servers !== undefined && servers.length > 0 && (
        <div className="grid gap-3">
          {servers.length > 5 && (
            <SearchInput
              label="Search servers"
              value={q}
              onChange={(text) => void navigate({ search: (now) => ({ ...now, q: text || undefined }), replace: true })}
            />
          )}
          <ServerTable servers={shown} />
          {shown.length === 0 && <p className="py-8 text-center text-sm text-soft">No server has “{q}” in its name.</p>}
        </div>
      )}
      {mayAdd && add === true && (
        <Suspense>
          <AddServerDialog onClose={() => setAdd(false)} />
        </Suspense>
      )}
    </Page>
  );
}

function ServerTable({ servers }: { servers: readonly Server[] }) {
  const { shown, more } = useFirstRows(servers);
  return (
    <>
      <Table label="Servers">
        <thead>
          <tr>
            <Th>Name</Th>
            <Th>State</Th>
            <Th>System</Th>
            <Th>CPU and memory</Th>
            <Th>Docker</Th>
            <Th className="text-right">Services</Th>
          </tr>
        </thead>
        <tbody>
          {shown.map((server) => (
            <Tr key={server.id}>
              <Td>
                <Link to={paths.server} params={{ serverId: server.id }} className={rowLinkClass}>
                  {server.name}
                </Link>
                {server.publicHost !== null && <p className="text-xs text-faint">{server.publicHost}</p>}
              </Td>
              <Td>
                <LinkBadge link={server.link} lastSeenAt={server.lastSeenAt} />
              </Td>
              <Td className="text-soft whitespace-nowrap">
                {server.facts === null ? "–" : `${server.facts.os}, ${server.facts.arch}`}
              </Td>
              <Td className="text-soft whitespace-nowrap tabular-nums">
                {server.facts === null ? "–" : `${server.facts.cpus} CPU · ${bytes(server.facts.memoryBytes)}`}
              </Td>
              <Td className="text-soft whitespace-nowrap">
                {server.facts?.dockerVersion ?? "–"}{" "}
                {server.dockerOk === false && <Tag className="text-bad">not answering</Tag>}
              </Td>
              <Td className="text-right text-soft whitespace-nowrap tabular-nums">{server.serviceCount}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {more}
    </>
  );
}
