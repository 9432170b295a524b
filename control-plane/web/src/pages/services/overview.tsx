/** The Overview tab: what the database is, how it is reached, and before the first deployment how to get there. */
import { ENGINES, isTerminal, type Service } from "@dflow/protocol";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { Ago } from "../../components/ago.tsx";
import { actionButton } from "../../components/guard-presentation.ts";
import { OperationLog } from "../../components/operation-log.tsx";
import { operationLabel } from "../../components/operation-words.ts";
import { outgoingWords } from "../../components/outgoing-words.ts";
import { useServiceAction } from "../../components/use-service-action.ts";
import { bytes } from "../../format.ts";
import { paths } from "../../paths.ts";
import { operationQuery } from "../../queries.ts";
import { Tag } from "../../ui/badge.tsx";
import { Button } from "../../ui/button.tsx";
import { Card, Fact, Facts } from "../../ui/card.tsx";
import { Empty } from "../../ui/empty.tsx";
import { Tooltip } from "../../ui/tooltip.tsx";
import { CredentialsCard } from "./credentials.tsx";

export function ServiceOverview({ service }: { service: Service }) {
  return (
    <div className="grid items-start gap-4 lg:grid-cols-[minmax(0,1fr)_360px]">
      {service.deployedAt === null ? (
        <BeforeFirstDeployment service={service} />
      ) : (
        <CredentialsCard service={service} />
      )}
      <FactsCard service={service} />
    </div>
  );
}

function BeforeFirstDeployment({ service }: { service: Service }) {
  const run = useServiceAction(service);
  const button = actionButton("deploy", service);
  const last = service.openOperation ?? service.lastOperation;
  if (last !== null && last.kind === "deploy") return <FirstDeployment operationId={last.id} />;
  return (
    <Empty
      icon={<Play size={18} aria-hidden="true" />}
      title="Created, not deployed"
      action={
        button.kind === "ready" && (
          <Button variant="primary" busy={run.isPending} onClick={() => run.mutate({ action: "deploy" })}>
            Deploy {service.name}
          </Button>
        )
      }
    >
      {button.kind === "refused"
        ? button.sentence
        : `Deploy starts the database on ${service.server.name} and waits until it answers. Its connection details appear here then.`}
    </Empty>
  );
}

/** While the first deployment runs, or after one that failed, its log is what there is to see. */
function FirstDeployment({ operationId }: { operationId: string }) {
  const { data: operation } = useQuery(operationQuery(operationId));
  if (operation === undefined) return <div className="h-80 animate-pulse rounded-lg bg-hover" />;
  const title = isTerminal(operation.state)
    ? `Last deployment: ${operation.label.toLowerCase()}`
    : "The first deployment is under way";
  return (
    <Card title={title} help="Connection details appear here after the first success.">
      <div className="p-4">
        <OperationLog key={operation.id} operation={operation} />
      </div>
    </Card>
  );
}

function FactsCard({ service }: { service: Service }) {
  const { observed } = service;
  const outgoing = outgoingWords(service);
  return (
    <Card title="Facts">
      <Facts>
        <Fact name="Engine">
          {ENGINES[service.engine].label} {service.version}
        </Fact>
        <Fact name="Image">
          <span className="font-mono text-code">{service.image}</span>
          {service.standIn && (
            <Tooltip content="Built on this installation from distribution packages, in place of the official image.">
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the explanation has to be reachable by keyboard */}
              <span tabIndex={0} className="ml-2 inline-block rounded-sm">
                <Tag>local stand-in</Tag>
              </span>
            </Tooltip>
          )}
        </Fact>
        <Fact name="Server">
          <Link
            to={paths.server}
            params={{ serverId: service.server.id }}
            className="rounded-sm text-accent-text hover:underline"
          >
            {service.server.name}
          </Link>
        </Fact>
        <Fact name="Memory limit">{service.memoryBytes === null ? "None" : bytes(service.memoryBytes)}</Fact>
        <Fact name="Outgoing traffic">
          {outgoing.value}
          {outgoing.pending !== undefined && <span className="block text-xs text-soft">{outgoing.pending}</span>}
        </Fact>
        <Fact name="Created">
          <Ago at={service.createdAt} />
        </Fact>
        <LastCheck service={service} />
        <Fact name="First deployed">{service.deployedAt === null ? "Not yet" : <Ago at={service.deployedAt} />}</Fact>
        {observed.startedAt !== undefined && service.state !== "stopped" && (
          <Fact name="Container started">
            <Ago at={observed.startedAt} />
          </Fact>
        )}
        {observed.restartCount !== undefined && observed.restartCount > 0 && (
          <Fact name="Restarted by itself">{observed.restartCount}×</Fact>
        )}
        {observed.exitCode !== undefined && (service.state === "exited" || service.state === "stopped") && (
          <Fact name="Exit code">
            {observed.exitCode}
            {observed.oomKilled === true && ", out of memory"}
          </Fact>
        )}
      </Facts>
    </Card>
  );
}

/** Whether all data could be read, and when that was last tried. */
function LastCheck({ service: { id, deployedAt, lastCheck } }: { service: Service }) {
  if (deployedAt === null) return null;
  if (lastCheck === null) return <Fact name="Last check">Never</Fact>;
  return (
    <Fact name="Last check">
      <Link
        to={paths.service}
        params={{ serviceId: id }}
        search={{ tab: "deployments", operation: lastCheck.id }}
        className="rounded-sm text-accent-text hover:underline"
      >
        {operationLabel(lastCheck)}
      </Link>{" "}
      <Ago at={lastCheck.endedAt ?? lastCheck.createdAt} />
    </Fact>
  );
}
