/** Grey shapes where content will be. */
import { cx } from "./classes.ts";

export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden="true" className={cx("animate-pulse rounded-md bg-hover", className)} />;
}

export function SkeletonRows({ rows = 4 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="divide-y divide-line rounded-lg border border-line bg-surface">
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows of nothing have no identity
        <div key={row} className="flex h-11 items-center gap-6 px-4">
          <Skeleton className="h-3.5 w-40" />
          <Skeleton className="h-3.5 w-24" />
          <Skeleton className="ml-auto h-3.5 w-16" />
        </div>
      ))}
    </div>
  );
}

export function SkeletonCard({ lines = 5 }: { lines?: number }) {
  return (
    <div role="status" aria-label="Loading" className="grid gap-4 rounded-lg border border-line bg-surface p-4">
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of nothing have no identity
        <Skeleton key={line} className={cx("h-3.5", line % 3 === 0 ? "w-2/3" : line % 3 === 1 ? "w-full" : "w-4/5")} />
      ))}
    </div>
  );
}
