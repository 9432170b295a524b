/** Toasts: what was asked for, and the same toast again with how it ended. */
import type { ReactNode } from "react";
import type { ExternalToast, toast as Toast } from "sonner";
import { describeError } from "./describe-error.ts";

export interface ToastLink {
  label: string;
  onClick: () => void;
}

interface ToastText {
  id?: string;
  description?: ReactNode;
  link?: ToastLink | undefined;
}

type Say = (toast: typeof Toast) => void;

/** The place where toasts appear is loaded with the first one; until it stands, what is said waits here. */
function createToastDoor() {
  let toast: typeof Toast | undefined;
  let wanted = false;
  const waiting: Say[] = [];
  const listeners = new Set<() => void>();
  return {
    say(what: Say): void {
      if (toast !== undefined) {
        what(toast);
        return;
      }
      waiting.push(what);
      wanted = true;
      for (const listener of listeners) listener();
    },
    /** Called by the place once it stands. */
    opened(ready: typeof Toast): void {
      toast = ready;
      for (const what of waiting.splice(0)) what(ready);
    },
    isWanted: () => wanted,
    subscribe(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const toastDoor = createToastDoor();

const options = ({ id, description, link }: ToastText, duration: number): ExternalToast => ({
  ...(id === undefined ? {} : { id }),
  // Said again with the same id, a toast must lose what the earlier one had.
  description: description ?? null,
  action: link === undefined ? undefined : { label: link.label, onClick: link.onClick },
  duration,
});

export const notify = {
  done: (title: string, text: ToastText = {}) => toastDoor.say((toast) => toast.success(title, options(text, 4_000))),
  info: (title: string, text: ToastText = {}) => toastDoor.say((toast) => toast.info(title, options(text, 6_000))),
  /** Stays until the same id is said again. */
  pending: (title: string, text: ToastText = {}) =>
    toastDoor.say((toast) => toast.loading(title, options(text, Number.POSITIVE_INFINITY))),
  failed: (title: string, text: ToastText = {}) => toastDoor.say((toast) => toast.error(title, options(text, 15_000))),
  /** An error in its own words, with its details to copy for a report. */
  problem: (title: string, error: unknown) => {
    const { detail, hint, details } = describeError(error);
    const description = hint === undefined ? detail : `${detail} ${hint}`;
    const link = { label: "Copy details", onClick: () => void navigator.clipboard?.writeText(details) };
    toastDoor.say((toast) => toast.error(title, options({ description, link }, 15_000)));
  },
  dismiss: (id: string) => toastDoor.say((toast) => toast.dismiss(id)),
};
