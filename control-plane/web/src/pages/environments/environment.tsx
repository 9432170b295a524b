/** One environment: its services with their states, and Add New. */
import { ENGINES, type Environment, type Service } from "@dflow/protocol";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ChevronDown, Database, Ellipsis, Plus } from "lucide-react";
import { call, client } from "../../api.ts";
import { EngineMark } from "../../components/engine-mark.tsx";
import { Page } from "../../components/page.tsx";
import { SearchInput } from "../../components/search-input.tsx";
import { LinkBadge, SeenAge, ServiceStateBadge } from "../../components/state-badge.tsx";
import { GoesAndStays, TypedNameDialog } from "../../components/typed-name.tsx";
import { useFirstRows } from "../../components/use-first-rows.tsx";
import { useRight } from "../../components/workspace.tsx";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { environmentQuery, environmentServicesQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Empty } from "../../ui/empty.tsx";
import { Menu, MenuItem } from "../../ui/menu.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { rowLinkClass, Table, Td, Th, Tr } from "../../ui/table.tsx";
import { notify } from "../../ui/toast.tsx";
import { Missing } from "../missing.tsx";
import { AddServiceDialog } from "./add-service.tsx";

export function EnvironmentPage() {
  const { environmentId } = useParams({ from: "/app/environments/$environmentId" });
  const { data: environment, error, refetch } = useQuery(environmentQuery(environmentId));
  if (environment === undefined && error !== null) {
    return <Missing what="environment" error={error} onRetry={() => void refetch()} />;
  }
  const crumbs =
    environment === undefined
      ? ["Applications"]
      : [
          <Link key="applications" to={paths.applications}>
            Applications
          </Link>,
          <Link key="application" to={paths.application} params={{ applicationId: environment.application.id }}>
            {environment.application.name}
          </Link>,
          environment.name,
        ];
  const title = environment === undefined ? "Environment" : `${environment.name} · ${environment.application.name}`;
  return (
    <Page title={title} crumbs={crumbs} workspaceId={environment?.workspaceId}>
      {environment === undefined ? <SkeletonRows /> : <Services environment={environment} />}
    </Page>
  );
}

function Services({ environment }: { environment: Environment }) {
  const { data: services, error, refetch } = useQuery(environmentServicesQuery(environment.id));
  const search = useSearch({ from: "/app/environments/$environmentId" });
  const navigate = useNavigate({ from: paths.environment });
  const mayAdd = useRight("services.write");
  const mayDelete = useRight("applications.write");
  const q = search.q ?? "";
  const shown = services?.filter(({ name }) => name.includes(q.toLowerCase()));
  const addService = () => void navigate({ search: (now) => ({ ...now, add: "service" as const }) });
  const addNew = mayAdd && (
    <Menu
      trigger={
        <Button variant="primary">
          <Plus size={15} aria-hidden="true" />
          Add New
          <ChevronDown size={14} aria-hidden="true" />
        </Button>
      }
    >
      <MenuItem icon={<Database size={15} aria-hidden="true" />} onSelect={addService}>
        Add service
      </MenuItem>
    </Menu>
  );
  return (
    <>
      <div className="mb-4 flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0">
          <h1 className="text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">{environment.name}</h1>
          <p className="mt-1 flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-soft">
            on
            <Link
              to={paths.server}
              params={{ serverId: environment.server.id }}
              className="rounded-sm font-medium text-ink hover:underline"
            >
              {environment.server.name}
            </Link>
            <LinkBadge
              link={environment.server.link}
              lastSeenAt={environment.server.lastSeenAt}
              withAge={environment.server.link !== "online"}
            />
          </p>
        </div>
        <div className="flex gap-2">
          {mayDelete && (
            <Menu
              trigger={
                <Button aria-label="More for this environment" size="icon">
                  <Ellipsis size={16} aria-hidden="true" />
                </Button>
              }
            >
              <MenuItem danger onSelect={() => void navigate({ search: { dialog: "delete" } })}>
                Delete environment
              </MenuItem>
            </Menu>
          )}
          {addNew}
        </div>
      </div>
      {error !== null && services === undefined && <Problem error={error} onRetry={() => void refetch()} />}
      {error === null && services === undefined && <SkeletonRows />}
      {services?.length === 0 && (
        <Empty
          icon={<Database size={18} aria-hidden="true" />}
          title="No services yet"
          action={
            mayAdd && (
              <Button variant="primary" onClick={addService}>
                Add service
              </Button>
            )
          }
        >
          Add a database: it is created first, and runs on {environment.server.name} once you deploy it.
        </Empty>
      )}
      {services !== undefined && shown !== undefined && services.length > 0 && (
        <div className="grid gap-3">
          {services.length > 5 && (
            <SearchInput
              label="Search services"
              value={q}
              onChange={(text) => void navigate({ search: (now) => ({ ...now, q: text || undefined }), replace: true })}
            />
          )}
          <ServiceTable services={shown} />
          {shown.length === 0 && (
            <p className="py-8 text-center text-sm text-soft">No service has “{q}” in its name.</p>
          )}
        </div>
      )}
      <AddServiceDialog environment={environment} />
      <DeleteDialog
        environment={environment}
        open={search.dialog === "delete" && mayDelete}
        onClose={() => void navigate({ search: {} })}
      />
    </>
  );
}

function ServiceTable({ services }: { services: readonly Service[] }) {
  const { shown, more } = useFirstRows(services);
  return (
    <>
      <Table label="Services">
        <thead>
          <tr>
            <Th>Name</Th>
            <Th>State</Th>
            <Th>Observed</Th>
            <Th className="max-sm:hidden">Engine</Th>
          </tr>
        </thead>
        <tbody>
          {shown.map((service) => (
            <Tr key={service.id}>
              <Td>
                <span className="flex items-center gap-2.5">
                  <EngineMark engine={service.engine} size="sm" />
                  <Link to={paths.service} params={{ serviceId: service.id }} className={rowLinkClass}>
                    {service.name}
                  </Link>
                </span>
              </Td>
              <Td>
                <span className="relative z-10">
                  <ServiceStateBadge service={service} />
                </span>
              </Td>
              <Td>
                {service.deployedAt === null && service.lastOperation?.state === "failed" ? (
                  <span className="text-xs text-bad">last deployment failed</span>
                ) : (
                  <SeenAge service={service} />
                )}
              </Td>
              <Td className="text-soft max-sm:hidden">
                <span className="inline-flex items-center gap-2 whitespace-nowrap">
                  {ENGINES[service.engine].label} {service.version}
                  {service.standIn && <Tag>local stand-in</Tag>}
                </span>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {more}
    </>
  );
}

function DeleteDialog({
  environment,
  open,
  onClose,
}: {
  environment: Environment;
  open: boolean;
  onClose: () => void;
}) {
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () => call(client.DELETE("/api/v1/environments/{id}", { params: { path: { id: environment.id } } })),
    onSuccess: async () => {
      notify.done(`${environment.name} is deleted`);
      const applicationId = environment.application.id;
      await navigate({ to: paths.application, params: { applicationId }, replace: true });
      queryClient.removeQueries({ queryKey: keys.environment(environment.id) });
      void queryClient.invalidateQueries({ queryKey: keys.application(applicationId) });
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
      title={`Delete ${environment.name}`}
      name={environment.name}
      confirmLabel="Delete environment"
      onConfirm={() => remove.mutate()}
      busy={remove.isPending}
      error={remove.error}
    >
      <GoesAndStays goes={["The environment"]} stays={[`The server ${environment.server.name}`]} />
      <p className="text-sm text-soft">Refused while a service is in it: delete those first.</p>
    </TypedNameDialog>
  );
}
