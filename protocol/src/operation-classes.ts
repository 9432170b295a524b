/** What may be done with an operation that was interrupted: its class, one table for both sides. */
import type { OperationKind } from "./states.ts";

/**
 * - `read`: changes nothing, and is asked anew.
 * - `convergent`: ensures a state. After a crash it looks again and goes on.
 * - `once`: runs at most once, in a job container that is found again by its name. After a crash it is taken up again where
 *   that container is there; where it is not, the outcome is unknown, and it is never run again by itself.
 */
export type OperationClass = "read" | "convergent" | "once";

export const OPERATION_CLASSES = {
  deploy: "convergent",
  restart: "convergent",
  stop: "convergent",
  delete: "convergent",
  check: "once",
} as const satisfies Record<OperationKind, OperationClass>;

type KindOf<C extends OperationClass> = {
  [K in OperationKind]: (typeof OPERATION_CLASSES)[K] extends C ? K : never;
}[OperationKind];
export type ConvergentKind = KindOf<"convergent">;
export type OnceKind = KindOf<"once">;

export function isOnce<T extends { kind: OperationKind }>(operation: T): operation is Extract<T, { kind: OnceKind }> {
  return OPERATION_CLASSES[operation.kind] === "once";
}
