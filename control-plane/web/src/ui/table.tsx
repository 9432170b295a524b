/** Dense tables that scroll sideways inside their own frame. */
import type { ComponentProps, ReactNode } from "react";
import { cx } from "./classes.ts";

export function Table({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section
      className="relative overflow-x-auto rounded-lg border border-line bg-surface"
      aria-label={label}
      // A frame that scrolls has to be reachable by keyboard.
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region needs the focus to be scrolled by keys
      tabIndex={0}
    >
      <table className="w-full border-collapse text-left text-sm">{children}</table>
    </section>
  );
}

export function Th({ className, ...rest }: ComponentProps<"th">) {
  return (
    <th
      scope="col"
      {...rest}
      className={cx("h-9 px-3 text-xs font-medium whitespace-nowrap text-faint first:pl-4 last:pr-4", className)}
    />
  );
}

export function Td({ className, ...rest }: ComponentProps<"td">) {
  return <td {...rest} className={cx("h-11 px-3 py-1.5 first:pl-4 last:pr-4", className)} />;
}

/** A row whose first link covers it: the whole row is a target, and a middle click still opens a tab. */
export function Tr({ className, ...rest }: ComponentProps<"tr">) {
  return <tr {...rest} className={cx("relative border-t border-line hover:bg-hover/60", className)} />;
}

export const rowLinkClass =
  "font-medium whitespace-nowrap text-ink after:absolute after:inset-0 hover:text-accent-text";
