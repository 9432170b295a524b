/** The plain page around sign-in and invitation: the mark, a title, a form. */
import type { ReactNode } from "react";

export function Entrance({ title, help, children }: { title: string; help?: ReactNode; children: ReactNode }) {
  return (
    <main className="grid min-h-dvh place-items-center px-4 py-12">
      <title>{`${title} · dFlow`}</title>
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-2.5">
          <img src="/favicon.svg" alt="" width={28} height={28} />
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
