/** An empty place: one line on what belongs here, and the one thing to do. */
import type { ReactNode } from "react";

interface EmptyProps {
  icon: ReactNode;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  /** 1 where the page has no other title. */
  level?: 1 | 2;
}

export function Empty({ icon, title, children, action, level = 2 }: EmptyProps) {
  const Heading = level === 1 ? "h1" : "h2";
  return (
    <div className="flex flex-col items-center rounded-lg border border-dashed border-line-strong px-6 py-14 text-center">
      <div className="mb-3 grid size-10 place-items-center rounded-lg border border-line bg-surface text-soft">
        {icon}
      </div>
      <Heading className="text-base font-semibold">{title}</Heading>
      {children !== undefined && <p className="mt-1 max-w-md text-sm text-pretty text-soft">{children}</p>}
      {action !== undefined && <div className="mt-4 flex flex-wrap justify-center gap-2">{action}</div>}
    </div>
  );
}
