/** On or off, at once: a checkbox that readers call a switch. One that is refused keeps the focus and says why. */
import { type ReactNode, useId } from "react";
import { cx } from "./classes.ts";

interface SwitchProps {
  label: string;
  help: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  /** Why it cannot be switched now. */
  refused?: string | undefined;
  busy?: boolean;
}

export function Switch({ label, help, checked, onChange, refused, busy = false }: SwitchProps) {
  const id = useId();
  const off = refused !== undefined || busy;
  return (
    <div className="flex items-start justify-between gap-4">
      <div className="min-w-0 max-w-xl">
        <label htmlFor={id} className="block w-fit text-sm font-medium">
          {label}
        </label>
        <p id={`${id}-help`} className="text-sm text-soft">
          {help}
        </p>
        {refused !== undefined && (
          <p id={`${id}-refused`} className="text-sm text-faint">
            {refused}
          </p>
        )}
      </div>
      <span className="relative mt-0.5 inline-flex h-5 w-9 shrink-0">
        <input
          id={id}
          type="checkbox"
          role="switch"
          checked={checked}
          aria-checked={checked}
          aria-disabled={off}
          aria-describedby={refused === undefined ? `${id}-help` : `${id}-help ${id}-refused`}
          onChange={(event) => {
            if (!off) onChange(event.target.checked);
          }}
          className={cx(
            "peer absolute inset-0 m-0 appearance-none rounded-full border transition-colors",
            "border-line-strong bg-hover checked:border-accent checked:bg-accent",
            off && "opacity-60",
          )}
        />
        {/* Its place says the same as its colour. */}
        <span
          aria-hidden="true"
          className="pointer-events-none absolute top-[3px] left-[3px] size-3.5 rounded-full bg-soft transition-transform peer-checked:translate-x-4 peer-checked:bg-surface"
        />
      </span>
    </div>
  );
}
