/** An empty place: one line on what belongs here, and the one thing to do. */
import type { ReactNode } from "react";

interface EmptyProps {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}

export function Empty({ icon, title, children, action }: EmptyProps) {
  return (
    <div className="flex flex-col items-center rounded-lg border border-dashed border-line-strong px-6 py-14 text-center">
      <div className="mb-3 grid size-10 place-items-center rounded-lg border border-line bg-surface text-soft">
        {icon}
      </div>
      <h2 className="text-base font-semibold">{title}</h2>
      {children !== undefined && <p className="mt-1 max-w-md text-sm text-pretty text-soft">{children}</p>}
      {action !== undefined && <div className="mt-4 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}
