/** How the guard table's verdict becomes a button: absent, plain, off with its reason, or under way with its label. */
import {
  type GuardVerdict,
  OPEN_OPERATION_LABELS,
  type OperationKind,
  type Service,
  type ServiceAction,
} from "@dflow/protocol";

export type ActionButton =
  | { kind: "absent" }
  | { kind: "ready"; label: string }
  | { kind: "running"; label: string; operationId: string }
  | { kind: "refused"; label: string; sentence: string; remedy: GuardVerdict["remedy"] };

const LABELS: Record<"deploy" | "restart" | "stop" | "check" | "delete", string> = {
  deploy: "Deploy",
  restart: "Restart",
  stop: "Stop",
  check: "Check",
  delete: "Delete service",
};

export function actionButton(
  action: ServiceAction & keyof typeof LABELS,
  service: Pick<Service, "actions" | "openOperation">,
): ActionButton {
  const open = service.openOperation;
  // What runs shows its own label on its own button, even where the button would be absent otherwise.
  if (open !== null && open.kind === (action as OperationKind)) {
    return { kind: "running", label: OPEN_OPERATION_LABELS[open.kind], operationId: open.id };
  }
  const verdict = service.actions[action];
  const label = LABELS[action];
  if (verdict.verdict === "hidden") return { kind: "absent" };
  if (verdict.verdict === "allowed") return { kind: "ready", label };
  return {
    kind: "refused",
    label,
    sentence: verdict.sentence ?? "This cannot be done at the moment.",
    remedy: verdict.remedy,
  };
}
