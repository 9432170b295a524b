/** The brake before what cannot be undone: the name, typed; the focus on Cancel. */
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Button } from "../ui/button.tsx";
import { Dialog, DialogActions } from "../ui/dialog.tsx";
import { Field, Input } from "../ui/field.tsx";
import { Problem } from "../ui/problem.tsx";

interface TypedNameDialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  /** What goes and what stays. */
  children: ReactNode;
  name: string;
  confirmLabel: string;
  onConfirm: () => void;
  busy?: boolean;
  error?: unknown;
}

export function TypedNameDialog(props: TypedNameDialogProps) {
  const { open, onClose, title, children, name, confirmLabel, onConfirm, busy = false, error } = props;
  const [typed, setTyped] = useState("");
  const cancel = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) setTyped("");
  }, [open]);
  const matches = typed.trim() === name;
  return (
    <Dialog open={open} onClose={onClose} title={title} focus={cancel}>
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (matches && !busy) onConfirm();
        }}
      >
        {children}
        <Field label={`Type ${name} to confirm`}>
          {(ids) => (
            <Input
              {...ids}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
            />
          )}
        </Field>
        {error !== undefined && error !== null && <Problem error={error} />}
        <DialogActions>
          <Button ref={cancel} onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" variant="danger" disabled={!matches} busy={busy}>
            {confirmLabel}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

/** What goes and what stays, side by side. */
export function GoesAndStays({ goes, stays }: { goes: readonly string[]; stays: readonly string[] }) {
  return (
    <div className="grid gap-3 rounded-lg border border-line bg-sunken p-3 text-sm sm:grid-cols-2">
      <ListOf title="Goes" items={goes} mark="−" tone="text-bad" />
      <ListOf title="Stays" items={stays} mark="✓" tone="text-good" />
    </div>
  );
}

function ListOf({ title, items, mark, tone }: { title: string; items: readonly string[]; mark: string; tone: string }) {
  if (items.length === 0) return null;
  return (
    <div>
      <p className="mb-1 text-xs font-medium text-faint">{title}</p>
      <ul className="grid gap-1">
        {items.map((item) => (
          <li key={item} className="flex gap-2">
            <span aria-hidden="true" className={tone}>
              {mark}
            </span>
            {item}
          </li>
        ))}
      </ul>
    </div>
  );
}
