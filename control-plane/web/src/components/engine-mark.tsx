/** Our own simple mark for each engine. */
import type { EngineId } from "@dflow/protocol";
import type { ReactNode } from "react";
import { cx } from "../ui/classes.ts";

const MARKS: Record<EngineId, ReactNode> = {
  // An elephant's head from the side: ear, brow, trunk.
  postgres: (
    <>
      <path d="M7 12.500V9.200C7 6.300 9.200 4 12.200 4S18 6.300 18 9.300v5.200" />
      <path d="M18 14.500v2.200a2.300 2.300 0 0 0 3.800 1.700" />
      <path d="M7 12.500c-1.900 0-3-1.600-3-3.800C4 6.600 5.300 5 7.600 5" />
      <path d="M13.500 14.500V20H10v-3.500c-1.800-.5-3-2-3-4" />
      <path d="M14.500 9.500h.01" strokeWidth="2.4" />
    </>
  ),
};

export function EngineMark({ engine, size = "md" }: { engine: EngineId; size?: "sm" | "md" | "lg" }) {
  return (
    <span
      aria-hidden="true"
      className={cx(
        "grid shrink-0 place-items-center rounded-md border border-line bg-sunken text-accent-text",
        { sm: "size-6", md: "size-8", lg: "size-10" }[size],
      )}
    >
      <svg
        aria-hidden="true"
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.7"
        strokeLinecap="round"
        strokeLinejoin="round"
        className={{ sm: "size-4", md: "size-5", lg: "size-6" }[size]}
      >
        {MARKS[engine]}
      </svg>
    </span>
  );
}
