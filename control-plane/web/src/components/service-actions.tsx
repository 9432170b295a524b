/** The header's actions on a service: the same on every tab, each as the guard table has it now. */
import type { Service } from "@dflow/protocol";
import { Link } from "@tanstack/react-router";
import { ChevronDown, ClipboardCheck, Play, RotateCw, Square } from "lucide-react";
import * as Popover from "radix-ui/popover";
import { type ReactNode, useId, useState } from "react";
import { paths } from "../paths.ts";
import { Button, type ButtonVariant, Spinner } from "../ui/button.tsx";
import { Menu, MenuItem, MenuRefusal } from "../ui/menu.tsx";
import { Tooltip } from "../ui/tooltip.tsx";
import { type ActionButton, actionButton } from "./guard-presentation.ts";
import { RedeployDialog } from "./redeploy-dialog.tsx";
import { type RunAction, useServiceAction, useShowOperation } from "./use-service-action.ts";

const ACTIONS: readonly { action: RunAction; icon: ReactNode; variant: ButtonVariant }[] = [
  { action: "deploy", icon: <Play size={14} aria-hidden="true" />, variant: "primary" },
  { action: "restart", icon: <RotateCw size={14} aria-hidden="true" />, variant: "secondary" },
  { action: "stop", icon: <Square size={13} aria-hidden="true" />, variant: "secondary" },
  { action: "check", icon: <ClipboardCheck size={14} aria-hidden="true" />, variant: "secondary" },
];

export function ServiceActions({ service }: { service: Service }) {
  const run = useServiceAction(service);
  const [redeploying, setRedeploying] = useState(false);
  const start = (action: RunAction) => {
    // Data of an earlier deployment is gone: starting anew takes the name, typed.
    if (action === "deploy" && service.deployedAt !== null) setRedeploying(true);
    else run.mutate({ action });
  };
  const shown = ACTIONS.map((entry) => ({ ...entry, button: actionButton(entry.action, service) })).filter(
    ({ button }) => button.kind !== "absent",
  );
  const asked = (action: RunAction) => run.isPending && run.variables?.action === action;

  return (
    <>
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms */}
      <div role="group" aria-label="Actions" className="hidden flex-wrap gap-2 md:flex">
        {service.openOperation?.kind === "delete" && (
          <RunningButton service={service} button={actionButton("delete", service)} />
        )}
        {shown.map(({ action, icon, variant, button }) =>
          button.kind === "running" ? (
            <RunningButton key={action} service={service} button={button} />
          ) : button.kind === "refused" ? (
            <RefusedButton
              key={action}
              service={service}
              button={button}
              icon={icon}
              variant={variant}
              onRemedy={start}
            />
          ) : (
            <Button key={action} variant={variant} busy={asked(action)} onClick={() => start(action)}>
              {!asked(action) && icon}
              {button.kind === "ready" && button.label}
            </Button>
          ),
        )}
      </div>
      <div className="md:hidden">
        <Menu
          trigger={
            <Button busy={run.isPending}>
              Actions
              <ChevronDown size={14} aria-hidden="true" />
            </Button>
          }
        >
          {shown.map(({ action, icon, button }) => (
            <ActionItem key={action} service={service} button={button} icon={icon} onStart={() => start(action)} />
          ))}
          {service.openOperation?.kind === "delete" && (
            <ActionItem
              service={service}
              button={actionButton("delete", service)}
              icon={null}
              onStart={() => undefined}
            />
          )}
        </Menu>
      </div>
      <RedeployDialog
        service={service}
        open={redeploying}
        onClose={() => setRedeploying(false)}
        onConfirm={(confirmName) => run.mutate({ action: "deploy", confirmName })}
      />
    </>
  );
}

function RunningButton({ service, button }: { service: Service; button: ActionButton }) {
  const showOperation = useShowOperation(service);
  if (button.kind !== "running") return null;
  return (
    <Tooltip content="Show its log">
      <Button onClick={() => showOperation(button.operationId)} className="text-moving">
        <Spinner />
        {button.label}
      </Button>
    </Tooltip>
  );
}

interface RefusedButtonProps {
  service: Service;
  button: Extract<ActionButton, { kind: "refused" }>;
  icon: ReactNode;
  variant: ButtonVariant;
  onRemedy: (action: RunAction) => void;
}

/** Off, but not mute: hover and focus say why, a click brings the reason together with what would help. */
export function RefusedButton({ service, button, icon, variant, onRemedy }: RefusedButtonProps) {
  const [open, setOpen] = useState(false);
  const reasonId = useId();
  const off = (
    <Button variant={variant} aria-disabled="true" aria-describedby={reasonId} onClickCapture={() => setOpen(true)}>
      {icon}
      {button.label}
    </Button>
  );
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Anchor asChild>
        <span>{open ? off : <Tooltip content={button.sentence}>{off}</Tooltip>}</span>
      </Popover.Anchor>
      <span id={reasonId} className="sr-only">
        {button.sentence}
      </span>
      <Popover.Portal>
        <Popover.Content
          sideOffset={6}
          collisionPadding={8}
          aria-label={`Why ${button.label} is off`}
          className="z-50 w-72 animate-fade rounded-lg border border-line bg-surface p-3 text-sm shadow-float"
        >
          <p>{button.sentence}</p>
          <Remedy service={service} button={button} onRemedy={onRemedy} onDone={() => setOpen(false)} />
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

const linkClass = "mt-2 inline-block rounded-sm font-medium text-accent-text hover:underline";

interface RemedyProps extends Pick<RefusedButtonProps, "service" | "button" | "onRemedy"> {
  onDone: () => void;
}

function Remedy({ service, button: { remedy }, onRemedy, onDone }: RemedyProps) {
  if (remedy === undefined) return null;
  const { action, label } = remedy;
  if (action === "server") {
    return (
      <Link to={paths.server} params={{ serverId: service.server.id }} className={linkClass}>
        {label}
      </Link>
    );
  }
  if (action === "operation" || action === "delete") {
    const search =
      action === "delete"
        ? { tab: "settings" as const }
        : { tab: "deployments" as const, operation: service.openOperation?.id };
    return (
      <Link
        to={paths.service}
        params={{ serviceId: service.id }}
        search={search}
        onClick={onDone}
        className={linkClass}
      >
        {label}
      </Link>
    );
  }
  return (
    <button
      type="button"
      className={linkClass}
      onClick={() => {
        onDone();
        onRemedy(action);
      }}
    >
      {label}
    </button>
  );
}

interface ActionItemProps {
  service: Service;
  button: ActionButton;
  icon: ReactNode;
  onStart: () => void;
}

function ActionItem({ service, button, icon, onStart }: ActionItemProps) {
  const showOperation = useShowOperation(service);
  switch (button.kind) {
    case "absent":
      return null;
    case "ready":
      return (
        <MenuItem icon={icon} onSelect={onStart}>
          {button.label}
        </MenuItem>
      );
    case "running":
      return (
        <MenuItem icon={<Spinner className="text-moving" />} onSelect={() => showOperation(button.operationId)}>
          {button.label}
        </MenuItem>
      );
    case "refused":
      return <MenuRefusal label={button.label} reason={button.sentence} />;
  }
}
