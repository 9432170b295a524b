/** A dialog with one name in it: to create something, or to rename it. */
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { Button } from "../ui/button.tsx";
import { fieldError } from "../ui/describe-error.ts";
import { Dialog, DialogActions } from "../ui/dialog.tsx";
import { Field, Input } from "../ui/field.tsx";
import { Problem } from "../ui/problem.tsx";

interface NameDialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  label: string;
  help?: ReactNode;
  placeholder?: string;
  initial?: string;
  submitLabel: string;
  /** Saves the name. Closing is the caller's: one that goes to another page must not come back to close. */
  onSubmit: (name: string) => Promise<unknown>;
}

export function NameDialog(props: NameDialogProps) {
  const { open, onClose, title, label, help, placeholder, initial = "", submitLabel, onSubmit } = props;
  const [name, setName] = useState(initial);
  const save = useMutation({ mutationFn: onSubmit });
  const { reset } = save;
  useEffect(() => {
    if (!open) return;
    setName(initial);
    reset();
  }, [open, initial, reset]);
  const wrong = fieldError(save.error, "name");
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() !== "") save.mutate(name.trim());
        }}
      >
        <Field label={label} help={help} error={wrong}>
          {(ids) => (
            <Input
              {...ids}
              value={name}
              maxLength={60}
              placeholder={placeholder}
              autoComplete="off"
              onChange={(event) => {
                setName(event.target.value);
                if (save.isError) reset();
              }}
            />
          )}
        </Field>
        {save.error !== null && wrong === undefined && <Problem error={save.error} />}
        <DialogActions>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" variant="primary" busy={save.isPending} disabled={name.trim() === ""}>
            {submitLabel}
          </Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}
