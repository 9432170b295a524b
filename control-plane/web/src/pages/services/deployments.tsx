/** The Deployments tab: every provisioning run with its full log, and the other operations below. */
import { isTerminal, type Operation, type Service } from "@dflow/protocol";
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { ChevronRight, Rocket } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Ago } from "../../components/ago.tsx";
import { OperationLog } from "../../components/operation-log.tsx";
import { operationDurationMs, operationLabel, operationNoun, operationTone } from "../../components/operation-words.ts";
import { duration } from "../../format.ts";
import { paths } from "../../paths.ts";
import { operationsQuery } from "../../queries.ts";
import { Badge } from "../../ui/badge.tsx";
import { cx } from "../../ui/classes.ts";
import { Empty } from "../../ui/empty.tsx";
import { Problem } from "../../ui/problem.tsx";
import { SkeletonRows } from "../../ui/skeleton.tsx";
import { useNow } from "../../use-now.ts";

/** In the address: every log was folded by hand. */
const NONE = "none";

export function ServiceDeployments({ service }: { service: Service }) {
  const { data: operations, error, refetch } = useQuery(operationsQuery(service.id));
  if (error !== null && operations === undefined) return <Problem error={error} onRetry={() => void refetch()} />;
  if (operations === undefined) return <SkeletonRows rows={3} />;
  const newestFirst = [...operations].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  const deployments = newestFirst.filter(({ kind }) => kind === "deploy");
  const others = newestFirst.filter(({ kind }) => kind !== "deploy");
  const shown = { openId: service.openOperation?.id, newestId: deployments[0]?.id };
  return (
    <div className="grid gap-6">
      {deployments.length === 0 ? (
        <Empty icon={<Rocket size={18} aria-hidden="true" />} title="No deployments yet">
          Each run of Deploy stands here with its state, how long it took, and its full log.
        </Empty>
      ) : (
        <OperationList label="Deployments" operations={deployments} {...shown} />
      )}
      {others.length > 0 && (
        <section aria-labelledby="other-operations">
          <h2 id="other-operations" className="mb-2 text-sm font-semibold">
            Other operations
          </h2>
          <OperationList label="Other operations" operations={others} {...shown} />
        </section>
      )}
    </div>
  );
}

interface OperationListProps {
  label: string;
  operations: readonly Operation[];
  openId: string | undefined;
  newestId: string | undefined;
}

function OperationList({ label, operations, openId, newestId }: OperationListProps) {
  const { operation } = useSearch({ from: "/app/services/$serviceId" });
  const unfolded = useUnfolded(openId, newestId);
  const expandedId = operation ?? unfolded;
  return (
    <ul aria-label={label} className="divide-y divide-line overflow-hidden rounded-lg border border-line bg-surface">
      {operations.map((operation) => (
        <OperationRow key={operation.id} operation={operation} expanded={operation.id === expandedId} />
      ))}
    </ul>
  );
}

/** Until someone chooses, the log of what runs is open, else that of the newest deployment; it stays when it has ended. */
function useUnfolded(openId: string | undefined, newestId: string | undefined): string | undefined {
  const [unfolded, setUnfolded] = useState(openId ?? newestId);
  useEffect(() => {
    if (openId !== undefined) setUnfolded(openId);
  }, [openId]);
  return unfolded;
}

function OperationRow({ operation, expanded }: { operation: Operation; expanded: boolean }) {
  const asked = useSearch({ from: "/app/services/$serviceId" }).operation === operation.id;
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (asked) row.current?.scrollIntoView({ block: "nearest" });
  }, [asked]);
  const noun = operationNoun(operation.kind);
  return (
    <li ref={row} className="scroll-mt-16">
      <Link
        to={paths.service}
        params={{ serviceId: operation.serviceId }}
        search={{ tab: "deployments", operation: expanded ? NONE : operation.id }}
        replace
        resetScroll={false}
        role="button"
        aria-expanded={expanded}
        aria-label={`View logs of ${noun.toLowerCase()}, ${operationLabel(operation)}`}
        onKeyDown={(event) => {
          if (event.key !== " ") return;
          event.preventDefault();
          event.currentTarget.click();
        }}
        className="flex min-h-12 flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2 text-sm -outline-offset-2 hover:bg-hover/60"
      >
        <ChevronRight
          size={15}
          aria-hidden="true"
          className={cx("shrink-0 text-faint transition-transform", expanded && "rotate-90")}
        />
        <Badge tone={operationTone(operation.state)} className="min-w-24">
          {operationLabel(operation)}
        </Badge>
        <span className="font-medium">{noun}</span>
        {operation.error !== null && (
          <span className="min-w-0 flex-1 truncate text-soft">{operation.error.message}</span>
        )}
        <span className="ml-auto flex flex-wrap items-center gap-x-4 text-xs text-faint">
          <RunTime operation={operation} />
          {operation.createdBy !== null && <span>by {operation.createdBy.name}</span>}
          <Ago at={operation.createdAt} />
        </span>
      </Link>
      {expanded && (
        <div className="border-t border-line bg-canvas p-3 sm:p-4">
          <OperationLog operation={operation} />
        </div>
      )}
    </li>
  );
}

function RunTime({ operation }: { operation: Operation }) {
  const now = useNow();
  if (operation.startedAt === null && isTerminal(operation.state)) return null;
  return <span className="tabular-nums">{duration(operationDurationMs(operation, now))}</span>;
}
