/** The plain page around sign-in and invitation: the mark, a title, a form. */
import type { ReactNode } from "react";

export function Entrance({ title, help, children }: { title: string; help?: ReactNode; children: ReactNode }) {
  return (
    <main className="grid min-h-dvh place-items-center px-4 py-12">
      <title>{`${title} · dFlow`}</title>
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-2.5">
          <Mark />
          <span className="text-lg font-semibold tracking-tight">dFlow</span>
        </div>
        <div className="rounded-xl border border-line bg-surface p-6">
          <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
          {help !== undefined && <p className="mt-1 text-sm text-soft">{help}</p>}
          <div className="mt-5">{children}</div>
        </div>
      </div>
    </main>
  );
}

/** The same mark as the favicon, drawn here so that the first page asks for one file less. */
function Mark() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" className="size-7">
      <rect width="32" height="32" rx="8" className="fill-accent" />
      <path
        d="M9 10.5C9 9.100 12.100 8 16 8s7 1.100 7 2.500-3.100 2.500-7 2.500-7-1.100-7-2.500Zm0 0v11C9 22.900 12.100 24 16 24s7-1.100 7-2.500v-11M9 16c0 1.400 3.100 2.500 7 2.500s7-1.100 7-2.500"
        className="fill-none stroke-on-accent"
        strokeWidth="2"
        strokeLinecap="round"
      />
    </svg>
  );
}
