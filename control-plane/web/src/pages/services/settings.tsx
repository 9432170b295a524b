/** The Settings tab of a service: what it may reach, and its danger zone. */
import type { Service } from "@dflow/protocol";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Trash2 } from "lucide-react";
import { useState } from "react";
import { call, client } from "../../api.ts";
import { followOperation } from "../../components/follow-operation.ts";
import { actionButton } from "../../components/guard-presentation.ts";
import { RefusedButton } from "../../components/service-actions.tsx";
import { GoesAndStays, TypedNameDialog } from "../../components/typed-name.tsx";
import { useShowOperation } from "../../components/use-service-action.ts";
import { keys } from "../../keys.ts";
import { paths } from "../../paths.ts";
import { Button } from "../../ui/button.tsx";
import { Card } from "../../ui/card.tsx";
import { Checkbox } from "../../ui/field.tsx";
import { OutgoingCard } from "./outgoing.tsx";

export function ServiceSettings({ service }: { service: Service }) {
  return (
    <div className="grid gap-4">
      <OutgoingCard service={service} />
      <DangerZone service={service} />
    </div>
  );
}

function DangerZone({ service }: { service: Service }) {
  const navigate = useNavigate();
  const showOperation = useShowOperation(service);
  const button = actionButton("delete", service);
  const [open, setOpen] = useState(false);
  const icon = <Trash2 size={14} aria-hidden="true" />;
  return (
    <Card title="Danger zone" danger>
      <div className="flex flex-wrap items-center justify-between gap-4 px-4 py-4">
        <div className="min-w-0 max-w-xl">
          <p className="text-sm font-medium">Delete service</p>
          <p className="text-sm text-soft">
            Stops {service.name} and removes its container from {service.server.name}. Its data stays on the server
            unless you ask for it to be removed, too.
          </p>
        </div>
        {button.kind === "ready" && (
          <Button variant="danger" onClick={() => setOpen(true)}>
            {icon}
            {button.label}
          </Button>
        )}
        {button.kind === "running" && (
          <Button busy={false} onClick={() => showOperation(button.operationId)}>
            {button.label}
          </Button>
        )}
        {button.kind === "refused" && (
          <RefusedButton
            service={service}
            button={button}
            icon={icon}
            variant="danger"
            onRemedy={() => void navigate({ to: paths.service, params: { serviceId: service.id } })}
          />
        )}
      </div>
      <DeleteDialog service={service} open={open} onClose={() => setOpen(false)} />
    </Card>
  );
}

function DeleteDialog({ service, open, onClose }: { service: Service; open: boolean; onClose: () => void }) {
  const queryClient = useQueryClient();
  const showOperation = useShowOperation(service);
  const [removeData, setRemoveData] = useState(false);
  const everDeployed = service.deployedAt !== null;
  const remove = useMutation({
    mutationFn: () =>
      call(
        client.DELETE("/api/v1/services/{id}", {
          params: {
            path: { id: service.id },
            query: { data: removeData, backups: false, name: service.name },
          },
        }),
      ),
    onSuccess: (operation) => {
      onClose();
      followOperation({
        queryClient,
        operation,
        serviceName: service.name,
        link: { label: "View log", onClick: () => showOperation(operation.id) },
      });
      void queryClient.invalidateQueries({ queryKey: keys.environmentServices(service.environment.id) });
      void queryClient.invalidateQueries({ queryKey: keys.service(service.id) });
      void queryClient.invalidateQueries({ queryKey: keys.operationsOf(service.id) });
    },
  });
  const data = `The data of the database, on ${service.server.name}`;
  return (
    <TypedNameDialog
      open={open}
      onClose={() => {
        onClose();
        remove.reset();
        setRemoveData(false);
      }}
      title={`Delete ${service.name}`}
      name={service.name}
      confirmLabel="Delete service"
      onConfirm={() => remove.mutate()}
      busy={remove.isPending}
      error={remove.error}
    >
      <GoesAndStays
        goes={[
          "The service and its credentials",
          ...(everDeployed ? ["Its container"] : []),
          ...(removeData ? [data] : []),
        ]}
        stays={
          removeData || !everDeployed
            ? ["Everything else in this environment"]
            : [data, "Everything else in this environment"]
        }
      />
      {everDeployed && (
        <Checkbox
          checked={removeData}
          onChange={(event) => setRemoveData(event.target.checked)}
          label="Also remove data"
          help="The data volume is deleted for good. Nothing brings it back."
        />
      )}
    </TypedNameDialog>
  );
}
