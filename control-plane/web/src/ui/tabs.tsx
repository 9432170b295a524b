/** Tabs that are links: each has an address, opens in a new window, and is walked with the arrow keys. */
import { Link } from "@tanstack/react-router";
import type { KeyboardEvent, ReactNode } from "react";
import { cx } from "./classes.ts";

interface TabsProps<T extends string> {
  label: string;
  tabs: readonly { id: T; label: string }[];
  current: T;
}

export function Tabs<T extends string>({ label, tabs, current }: TabsProps<T>) {
  return (
    <div
      role="tablist"
      aria-label={label}
      onKeyDown={walk}
      className="-mb-px flex gap-1 overflow-x-auto [scrollbar-width:none]"
    >
      {tabs.map((tab) => (
        <Link
          key={tab.id}
          to="."
          search={{ tab: tab.id } as never}
          role="tab"
          id={`tab-${tab.id}`}
          aria-selected={tab.id === current}
          aria-controls="tab-panel"
          tabIndex={tab.id === current ? 0 : -1}
          resetScroll={false}
          className={cx(
            "flex h-9 items-center border-b-2 px-2.5 text-sm whitespace-nowrap -outline-offset-2",
            tab.id === current ? "border-accent font-medium text-ink" : "border-transparent text-soft hover:text-ink",
          )}
        >
          {tab.label}
        </Link>
      ))}
    </div>
  );
}

function walk(event: KeyboardEvent<HTMLDivElement>): void {
  const tabs = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="tab"]')];
  const at = tabs.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  const next = tabs[(to + tabs.length) % tabs.length];
  next?.focus();
  next?.click();
}

export function TabPanel({ tab, children }: { tab: string; children: ReactNode }) {
  return (
    <div role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`} className="pt-5">
      {children}
    </div>
  );
}
