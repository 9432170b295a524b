/** Dialogs: focus stays inside, Esc closes, focus returns to where it came from. */
import { X } from "lucide-react";
import * as Radix from "radix-ui/dialog";
import type { ReactNode } from "react";
import { buttonClass } from "./button.tsx";
import { cx } from "./classes.ts";

/** Where typing begins; else the first thing to press. Not the cross that closes it. */
const FIRST_FIELD = "form input:not([type=radio], [type=checkbox]), [data-dialog-body] :is(button, a, input)";

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  children: ReactNode;
  wide?: boolean;
  /** Takes the focus when the dialog opens, instead of the first field. */
  focus?: React.RefObject<HTMLElement | null>;
}

export function Dialog({ open, onClose, title, description, children, wide = false, focus }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={(next) => next || onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade bg-scrim" />
        <Radix.Content
          className={cx(
            "fixed inset-x-3 top-[max(12px,8dvh)] z-50 mx-auto max-h-[calc(100dvh-24px)] overflow-y-auto rounded-xl border border-line bg-surface shadow-float sm:max-h-[84dvh]",
            "animate-rise outline-none",
            wide ? "max-w-2xl" : "max-w-md",
          )}
          {...(description === undefined ? { "aria-describedby": undefined } : {})}
          onOpenAutoFocus={(event) => {
            const content = event.currentTarget as HTMLElement;
            const first = focus?.current ?? content.querySelector<HTMLElement>(FIRST_FIELD);
            if (first === null) return;
            event.preventDefault();
            first.focus();
          }}
        >
          <header className="flex items-start justify-between gap-4 px-5 pt-4">
            <div className="min-w-0">
              <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
              {description !== undefined && (
                <Radix.Description className="mt-0.5 text-sm text-soft">{description}</Radix.Description>
              )}
            </div>
            <Radix.Close className={buttonClass("ghost", "icon", "-mr-2 -mt-0.5")} aria-label="Close">
              <X size={16} aria-hidden="true" />
            </Radix.Close>
          </header>
          <div data-dialog-body="" className="px-5 pt-4 pb-5">
            {children}
          </div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function DialogActions({ children }: { children: ReactNode }) {
  return <div className="mt-5 flex flex-wrap justify-end gap-2">{children}</div>;
}
