/** Form fields: label above, help below, the error where the help was, tied together for readers. */
import { type ComponentProps, type ReactNode, useId } from "react";
import { cx } from "./classes.ts";

const CONTROL = cx(
  "min-w-0 rounded-md border border-line-strong bg-surface text-ink",
  "placeholder:text-faint focus-visible:outline-offset-0 disabled:opacity-60",
  "aria-invalid:border-bad-mark",
);

interface FieldProps {
  label: string;
  help?: ReactNode;
  error?: string | undefined;
  children: (ids: {
    id: string;
    "aria-describedby": string | undefined;
    "aria-invalid": true | undefined;
  }) => ReactNode;
}

export function Field({ label, help, error, children }: FieldProps) {
  const id = useId();
  const noteId = `${id}-note`;
  const note = error ?? help;
  return (
    <div className="grid gap-1.5">
      <label htmlFor={id} className="w-fit text-sm font-medium">
        {label}
      </label>
      {children({
        id,
        "aria-describedby": note === undefined ? undefined : noteId,
        "aria-invalid": error === undefined ? undefined : true,
      })}
      {note !== undefined && (
        <p id={noteId} className={cx("text-xs", error === undefined ? "text-faint" : "text-bad")}>
          {error === undefined ? help : <span role="alert">{error}</span>}
        </p>
      )}
    </div>
  );
}

interface ControlSize {
  /** For toolbars: lower, and only as wide as it has to be. */
  compact?: boolean;
  mono?: boolean;
}
const size = ({ compact = false, mono = false }: ControlSize) =>
  cx(compact ? "h-8 text-sm" : "h-9 w-full", mono && "font-mono text-code");

/** `icon` stands inside, left of the text. */
export function Input({
  compact,
  mono,
  icon = false,
  className,
  ...rest
}: ComponentProps<"input"> & ControlSize & { icon?: boolean }) {
  return (
    <input {...rest} className={cx(CONTROL, size({ compact, mono }), icon ? "pr-2.5 pl-8" : "px-2.5", className)} />
  );
}

export function Select({ compact, className, children, ...rest }: ComponentProps<"select"> & ControlSize) {
  return (
    <select {...rest} className={cx(CONTROL, size({ compact }), "pr-1 pl-2", className)}>
      {children}
    </select>
  );
}

export function Checkbox({ label, help, ...rest }: ComponentProps<"input"> & { label: ReactNode; help?: ReactNode }) {
  const id = useId();
  return (
    <div className="flex gap-2.5">
      <input
        {...rest}
        id={id}
        type="checkbox"
        aria-describedby={help === undefined ? undefined : `${id}-help`}
        className="mt-0.5 size-4 shrink-0 rounded-sm accent-accent"
      />
      <div className="min-w-0">
        <label htmlFor={id} className="block text-sm font-medium">
          {label}
        </label>
        {help !== undefined && (
          <p id={`${id}-help`} className="text-xs text-soft">
            {help}
          </p>
        )}
      </div>
    </div>
  );
}
