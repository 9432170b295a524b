/** An error in its place on the page: what happened, what to do, and a way to try again. */
import { TriangleAlert } from "lucide-react";
import { Button } from "./button.tsx";
import { cx } from "./classes.ts";
import { copyText } from "./copy.ts";
import { describeError } from "./describe-error.ts";

interface ProblemProps {
  title?: string;
  error: unknown;
  onRetry?: (() => void) | undefined;
  className?: string;
}

export function Problem({ title, error, onRetry, className }: ProblemProps) {
  const { detail, hint, details } = describeError(error);
  return (
    <div
      role="alert"
      className={cx("flex gap-3 rounded-lg border border-bad-mark/40 bg-bad-soft px-4 py-3 text-sm", className)}
    >
      <TriangleAlert size={16} aria-hidden="true" className="mt-0.5 shrink-0 text-bad" />
      <div className="min-w-0 flex-1">
        {title !== undefined && <p className="font-semibold text-ink">{title}</p>}
        <p className="text-ink [overflow-wrap:anywhere]">{detail}</p>
        {hint !== undefined && <p className="mt-0.5 text-soft">{hint}</p>}
        <div className="mt-2 flex gap-2">
          {onRetry !== undefined && (
            <Button size="sm" onClick={onRetry}>
              Try again
            </Button>
          )}
          <Button size="sm" variant="ghost" className="-ml-1" onClick={() => void copyText(details)}>
            Copy details
          </Button>
        </div>
      </div>
    </div>
  );
}
