/** One service: a header with its state and actions that stands over every tab. */
import type { Service } from "@dflow/protocol";
import { ENGINES } from "@dflow/protocol";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { isApiError } from "../../api.ts";
import { EngineMark } from "../../components/engine-mark.tsx";
import { Page } from "../../components/page.tsx";
import { ServiceActions } from "../../components/service-actions.tsx";
import { ServiceStateBadge } from "../../components/state-badge.tsx";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { serviceQuery } from "../../queries.ts";
import { Skeleton, SkeletonCard } from "../../ui/skeleton.tsx";
import { TabPanel, Tabs } from "../../ui/tabs.tsx";
import { Missing } from "../missing.tsx";
import { ServiceDeployments } from "./deployments.tsx";
import { ServiceLogsTab } from "./logs.tsx";
import { ServiceOverview } from "./overview.tsx";
import { ServiceSettings } from "./settings.tsx";

export const SERVICE_TABS = [
  { id: "overview", label: "Overview" },
  { id: "logs", label: "Logs" },
  { id: "deployments", label: "Deployments" },
  { id: "settings", label: "Settings" },
] as const;

export function ServicePage() {
  const { serviceId } = useParams({ from: "/app/services/$serviceId" });
  const { data: service, error, refetch } = useQuery(serviceQuery(serviceId));
  useLeaveWhenGone(service, error);
  if (service === undefined && error !== null)
    return <Missing what="service" error={error} onRetry={() => void refetch()} />;
  if (service === undefined) return <LoadingService />;
  return <ServiceTabs service={service} />;
}

function ServiceTabs({ service }: { service: Service }) {
  const { tab = "overview" } = useSearch({ from: "/app/services/$serviceId" });
  return (
    <Page
      title={service.name}
      workspaceId={service.workspaceId}
      wide={tab === "logs"}
      crumbs={[
        <Link key="application" to={paths.application} params={{ applicationId: service.application.id }}>
          {service.application.name}
        </Link>,
        <Link key="environment" to={paths.environment} params={{ environmentId: service.environment.id }}>
          {service.environment.name}
        </Link>,
        service.name,
      ]}
    >
      <div className="border-b border-line">
        <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3 pb-4">
          <div className="flex min-w-0 items-center gap-3">
            <EngineMark engine={service.engine} size="lg" />
            <div className="min-w-0">
              <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
                <h1 className="text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">{service.name}</h1>
                <ServiceStateBadge service={service} withAge />
              </div>
              <p className="text-sm text-soft">
                {ENGINES[service.engine].label} {service.version} on{" "}
                <Link
                  to={paths.server}
                  params={{ serverId: service.server.id }}
                  className="rounded-sm hover:text-ink hover:underline"
                >
                  {service.server.name}
                </Link>
              </p>
            </div>
          </div>
          <ServiceActions service={service} />
        </div>
        <Tabs label="Service" tabs={SERVICE_TABS} current={tab} />
      </div>
      <TabPanel tab={tab}>
        {tab === "overview" && <ServiceOverview service={service} />}
        {tab === "logs" && <ServiceLogsTab service={service} />}
        {tab === "deployments" && <ServiceDeployments service={service} />}
        {tab === "settings" && <ServiceSettings service={service} />}
      </TabPanel>
    </Page>
  );
}

/** A service that was here and is not any more takes the reader to where it stood. */
function useLeaveWhenGone(service: Service | undefined, error: Error | null): void {
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const gone = service !== undefined && isApiError(error) && error.code === "not_found";
  const environmentId = service?.environment.id;
  const serviceId = service?.id;
  useEffect(() => {
    if (!gone || environmentId === undefined || serviceId === undefined) return;
    void navigate({ to: paths.environment, params: { environmentId }, replace: true }).then(() =>
      queryClient.removeQueries({ queryKey: keys.service(serviceId) }),
    );
  }, [gone, environmentId, serviceId, navigate, queryClient]);
}

function LoadingService() {
  return (
    <Page title="Service" crumbs={["Applications"]}>
      <div className="mb-4 flex items-center gap-3">
        <Skeleton className="size-10" />
        <div className="grid gap-2">
          <Skeleton className="h-5 w-48" />
          <Skeleton className="h-3.5 w-32" />
        </div>
      </div>
      <Skeleton className="mb-5 h-9 w-80" />
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1fr)_360px]">
        <SkeletonCard lines={6} />
        <SkeletonCard lines={6} />
      </div>
    </Page>
  );
}
