/** One thing with a title, a sentence of help, and what can be done about it. */
import type { ReactNode } from "react";
import { cx } from "./classes.ts";

interface CardProps {
  title?: string;
  help?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  danger?: boolean;
  className?: string;
}

export function Card({ title, help, actions, children, danger = false, className }: CardProps) {
  return (
    <section
      aria-label={title}
      className={cx("rounded-lg border bg-surface", danger ? "border-bad-mark/45" : "border-line", className)}
    >
      {title !== undefined && (
        <header className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b border-line px-4 py-2.5">
          <div className="min-w-0">
            <h2 className={cx("text-sm font-semibold", danger && "text-bad")}>{title}</h2>
            {help !== undefined && <p className="text-xs text-faint">{help}</p>}
          </div>
          {actions}
        </header>
      )}
      {children}
    </section>
  );
}

/** Facts as pairs: the name left and quiet, the value right and plain. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="divide-y divide-line text-sm">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex min-h-9 items-center justify-between gap-4 px-4 py-1.5">
      <dt className="shrink-0 text-faint">{name}</dt>
      <dd className="min-w-0 text-right [overflow-wrap:anywhere]">{children}</dd>
    </div>
  );
}
