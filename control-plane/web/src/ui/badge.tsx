/** A state in a word and a shape: the colour only repeats what both say. */
import type { Tone } from "@dflow/protocol";
import type { ReactNode } from "react";
import { cx } from "./classes.ts";

const TONES: Record<Tone, string> = {
  good: "bg-good-soft text-good",
  moving: "bg-moving-soft text-moving",
  bad: "bg-bad-soft text-bad",
  quiet: "bg-quiet-soft text-quiet",
};
const MARKS: Record<Tone, string> = {
  good: "text-good-mark",
  moving: "text-moving-mark",
  bad: "text-bad-mark",
  quiet: "text-quiet-mark",
};

/** Filled disc = good, turning arc = moving, triangle = bad, ring = quiet. */
export function ToneMark({ tone, className }: { tone: Tone; className?: string }) {
  return (
    <svg
      viewBox="0 0 12 12"
      aria-hidden="true"
      className={cx("size-2.5 shrink-0", MARKS[tone], tone === "moving" && "animate-spin", className)}
    >
      {tone === "good" && <circle cx="6" cy="6" r="4" fill="currentColor" />}
      {tone === "moving" && (
        <path
          d="M6 1.5a4.5 4.5 0 1 1-4.5 4.5"
          fill="none"
          stroke="currentColor"
          strokeWidth="2"
          strokeLinecap="round"
        />
      )}
      {tone === "bad" && (
        <path d="M6 1.800 11 10.500H1Z" fill="currentColor" stroke="currentColor" strokeLinejoin="round" />
      )}
      {tone === "quiet" && <circle cx="6" cy="6" r="3.500" fill="none" stroke="currentColor" strokeWidth="2" />}
    </svg>
  );
}

export function Badge({ tone, children, className }: { tone: Tone; children: ReactNode; className?: string }) {
  return (
    <span
      className={cx(
        "inline-flex h-6 shrink-0 items-center gap-1.5 rounded-full px-2 text-xs font-medium whitespace-nowrap",
        TONES[tone],
        className,
      )}
    >
      <ToneMark tone={tone} />
      {children}
    </span>
  );
}

/** A small plain label, for facts rather than states. */
export function Tag({ children, className }: { children: ReactNode; className?: string }) {
  return (
    <span
      className={cx(
        "inline-flex h-5 items-center rounded-sm border border-line px-1.5 text-xs text-soft whitespace-nowrap",
        className,
      )}
    >
      {children}
    </span>
  );
}
