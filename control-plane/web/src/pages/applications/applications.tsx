/** All applications of the workspace. */
import type { Application } from "@dflow/protocol";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Boxes, Plus } from "lucide-react";
import { lazy, Suspense } from "react";
import { Page, PageTitle } from "../../components/page.tsx";
import { SearchInput } from "../../components/search-input.tsx";
import { useFirstRows } from "../../components/use-first-rows.tsx";
import { useRight, useWorkspace } from "../../components/workspace.tsx";
import { paths } from "../../paths.ts";
import { applicationsQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Empty } from "../../ui/empty.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { rowLinkClass, Table, Td, Th, Tr } from "../../ui/table.tsx";

const CreateApplicationDialog = lazy(async () => ({
  default: (await import("./create-application.tsx")).CreateApplicationDialog,
}));

export function ApplicationsPage() {
  const workspace = useWorkspace();
  const mayWrite = useRight("applications.write");
  const { data: applications, error, refetch } = useQuery(applicationsQuery(workspace.id));
  const { create, q = "" } = useSearch({ from: "/app/applications" });
  const navigate = useNavigate({ from: paths.applications });
  const setCreate = (open: boolean) =>
    void navigate({ search: (now) => ({ ...now, create: open ? true : undefined }) });
  const button = mayWrite && (
    <Button variant="primary" onClick={() => setCreate(true)}>
      <Plus size={15} aria-hidden="true" />
      Create application
    </Button>
  );
  const shown = applications?.filter(({ name }) => name.toLowerCase().includes(q.toLowerCase()));
  return (
    <Page title="Applications" crumbs={["Applications"]}>
      <PageTitle
        title="Applications"
        help="An application groups what belongs together, once for each environment."
        actions={applications !== undefined && applications.length > 0 && button}
      />
      {error !== null && applications === undefined && <Problem error={error} onRetry={() => void refetch()} />}
      {error === null && applications === undefined && <SkeletonRows />}
      {applications?.length === 0 && (
        <Empty icon={<Boxes size={18} aria-hidden="true" />} title="No applications yet" action={button}>
          An application holds environments such as production and staging; their databases run on your servers.
        </Empty>
      )}
      {shown !== undefined && applications !== undefined && applications.length > 0 && (
        <div className="grid gap-3">
          <SearchInput
            label="Search applications"
            value={q}
            onChange={(text) => void navigate({ search: (now) => ({ ...now, q: text || undefined }), replace: true })}
          />
          {shown.length === 0 ? (
            <p className="py-8 text-center text-sm text-soft">No application has “{q}” in its name.</p>
          ) : (
            <ApplicationTable applications={shown} />
          )}
        </div>
      )}
      {create === true && mayWrite && (
        <Suspense>
          <CreateApplicationDialog open onClose={() => setCreate(false)} />
        </Suspense>
      )}
    </Page>
  );
}

function ApplicationTable({ applications }: { applications: readonly Application[] }) {
  const { shown, more } = useFirstRows(applications);
  return (
    <>
      <Table label="Applications">
        <thead>
          <tr>
            <Th>Name</Th>
            <Th>Environments</Th>
            <Th className="text-right">Services</Th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ id, name, environments }) => (
            <Tr key={id}>
              <Td>
                <Link to={paths.application} params={{ applicationId: id }} className={rowLinkClass}>
                  {name}
                </Link>
              </Td>
              <Td>
                {environments.length === 0 ? (
                  <span className="text-faint">None yet</span>
                ) : (
                  <span className="flex flex-wrap gap-1">
                    {environments.slice(0, 4).map((environment) => (
                      <Tag key={environment.id}>{environment.name}</Tag>
                    ))}
                    {environments.length > 4 && <Tag>{`+${environments.length - 4}`}</Tag>}
                  </span>
                )}
              </Td>
              <Td className="text-right text-soft tabular-nums">
                {environments.reduce((sum, { serviceCount }) => sum + serviceCount, 0)}
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {more}
    </>
  );
}
