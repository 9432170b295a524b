/** One application: its environments, each on a server. */
import type { Application, Server } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Ellipsis, Layers, Plus } from "lucide-react";
import { call, client } from "../../api.ts";
import { NameDialog } from "../../components/name-dialog.tsx";
import { Page, PageTitle } from "../../components/page.tsx";
import { LinkBadge } from "../../components/state-badge.tsx";
import { GoesAndStays, TypedNameDialog } from "../../components/typed-name.tsx";
import { useRight } from "../../components/workspace.tsx";
import { count } from "../../format.ts";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { applicationQuery, serversQuery } from "../../queries.ts";
import { Button } from "../../ui/button.tsx";
import { Empty } from "../../ui/empty.tsx";
import { Menu, MenuItem } from "../../ui/menu.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { rowLinkClass, Table, Td, Th, Tr } from "../../ui/table.tsx";
import { notify } from "../../ui/toast.tsx";
import { Missing } from "../missing.tsx";
import { CreateEnvironmentDialog } from "./create-environment.tsx";

export function ApplicationPage() {
  const { applicationId } = useParams({ from: "/app/applications/$applicationId" });
  const { data: application, error, refetch } = useQuery(applicationQuery(applicationId));
  if (application === undefined && error !== null) {
    return <Missing what="application" error={error} onRetry={() => void refetch()} />;
  }
  const crumbs = [
    <Link key="applications" to={paths.applications}>
      Applications
    </Link>,
    application?.name ?? "…",
  ];
  return (
    <Page title={application?.name ?? "Application"} crumbs={crumbs} workspaceId={application?.workspaceId}>
      {application === undefined ? <SkeletonRows /> : <Environments application={application} />}
    </Page>
  );
}

function Environments({ application }: { application: Application }) {
  const { data: servers } = useQuery(serversQuery(application.workspaceId));
  const { dialog } = useSearch({ from: "/app/applications/$applicationId" });
  const navigate = useNavigate({ from: paths.application });
  const mayWrite = useRight("applications.write");
  const setDialog = (next: typeof dialog) => void navigate({ search: { dialog: next } });
  const create = mayWrite && (
    <Button variant="primary" onClick={() => setDialog("create-environment")}>
      <Plus size={15} aria-hidden="true" />
      Create environment
    </Button>
  );
  return (
    <>
      <PageTitle
        title={application.name}
        help={count(application.environments.length, "environment")}
        actions={
          mayWrite && (
            <>
              <Menu
                trigger={
                  <Button aria-label="More for this application" size="icon">
                    <Ellipsis size={16} aria-hidden="true" />
                  </Button>
                }
              >
                <MenuItem onSelect={() => setDialog("rename")}>Rename</MenuItem>
                <MenuItem danger onSelect={() => setDialog("delete")}>
                  Delete application
                </MenuItem>
              </Menu>
              {application.environments.length > 0 && create}
            </>
          )
        }
      />
      {application.environments.length === 0 ? (
        <Empty icon={<Layers size={18} aria-hidden="true" />} title="No environments yet" action={create}>
          An environment is a place of its own on one of your servers. Its services reach each other by name.
        </Empty>
      ) : (
        <EnvironmentTable application={application} servers={servers ?? []} />
      )}
      <CreateEnvironmentDialog
        application={application}
        open={dialog === "create-environment" && mayWrite}
        onClose={() => setDialog(undefined)}
      />
      <RenameDialog
        application={application}
        open={dialog === "rename" && mayWrite}
        onClose={() => setDialog(undefined)}
      />
      <DeleteDialog
        application={application}
        open={dialog === "delete" && mayWrite}
        onClose={() => setDialog(undefined)}
      />
    </>
  );
}

function EnvironmentTable({ application, servers }: { application: Application; servers: readonly Server[] }) {
  return (
    <Table label="Environments">
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>Server</Th>
          <Th>State of the server</Th>
          <Th className="text-right">Services</Th>
        </tr>
      </thead>
      <tbody>
        {application.environments.map((environment) => {
          const server = servers.find(({ id }) => id === environment.serverId);
          return (
            <Tr key={environment.id}>
              <Td>
                <Link to={paths.environment} params={{ environmentId: environment.id }} className={rowLinkClass}>
                  {environment.name}
                </Link>
              </Td>
              <Td className="text-soft">{environment.serverName}</Td>
              <Td>{server !== undefined && <LinkBadge link={server.link} lastSeenAt={server.lastSeenAt} />}</Td>
              <Td className="text-right text-soft tabular-nums">{environment.serviceCount}</Td>
            </Tr>
          );
        })}
      </tbody>
    </Table>
  );
}

interface DialogProps {
  application: Application;
  open: boolean;
  onClose: () => void;
}

function RenameDialog({ application, open, onClose }: DialogProps) {
  const queryClient = useQueryClient();
  const rename = async (name: string) => {
    const params = { params: { path: { id: application.id } } };
    const renamed = await call(client.PATCH("/api/v1/applications/{id}", { ...params, body: { name } }));
    queryClient.setQueryData(keys.application(application.id), renamed);
    void queryClient.invalidateQueries({ queryKey: keys.allApplications });
    notify.done(`Renamed to ${name}`);
    onClose();
  };
  return (
    <NameDialog
      open={open}
      onClose={onClose}
      title="Rename application"
      label="Name"
      initial={application.name}
      submitLabel="Rename"
      onSubmit={rename}
    />
  );
}

function DeleteDialog({ application, open, onClose }: DialogProps) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => call(client.DELETE("/api/v1/applications/{id}", { params: { path: { id: application.id } } })),
    onSuccess: async () => {
      notify.done(`${application.name} is deleted`);
      await navigate({ to: paths.applications, replace: true });
      queryClient.removeQueries({ queryKey: keys.application(application.id) });
      void queryClient.invalidateQueries({ queryKey: keys.allApplications });
    },
  });
  return (
    <TypedNameDialog
      open={open}
      onClose={() => {
        remove.reset();
        onClose();
      }}
      title={`Delete ${application.name}`}
      name={application.name}
      confirmLabel="Delete application"
      onConfirm={() => remove.mutate()}
      busy={remove.isPending}
      error={remove.error}
    >
      <GoesAndStays goes={["The application"]} stays={["Your servers"]} />
      <p className="text-sm text-soft">Refused while an environment is in it: delete those first.</p>
    </TypedNameDialog>
  );
}
