/** A menu under a button. */
import * as Radix from "radix-ui/dropdown-menu";
import type { ReactNode } from "react";
import { cx } from "./classes.ts";

export const menuItemClass = cx(
  "flex min-h-8 cursor-pointer items-center gap-2 rounded-md px-2 py-1 text-sm text-ink outline-none select-none",
  "data-[highlighted]:bg-hover data-[disabled]:cursor-not-allowed data-[disabled]:text-faint",
);

export function Menu({
  trigger,
  children,
  align = "end",
}: {
  trigger: ReactNode;
  children: ReactNode;
  align?: "start" | "end";
}) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className="z-50 max-w-80 min-w-44 animate-fade rounded-lg border border-line bg-surface p-1 shadow-float"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface MenuItemProps {
  children: ReactNode;
  onSelect?: () => void;
  danger?: boolean;
  asChild?: boolean;
  icon?: ReactNode;
}

export function MenuItem({ children, onSelect, danger = false, asChild = false, icon }: MenuItemProps) {
  return (
    <Radix.Item
      className={cx(menuItemClass, danger && "text-bad")}
      asChild={asChild}
      {...(onSelect === undefined ? {} : { onSelect })}
    >
      {asChild ? (
        children
      ) : (
        <>
          {icon}
          {children}
        </>
      )}
    </Radix.Item>
  );
}

/** An action that cannot be taken now: it stays in the menu, reachable, with the reason under its name. */
export function MenuRefusal({ label, reason, remedy }: { label: string; reason: string; remedy?: ReactNode }) {
  return (
    <Radix.Item
      aria-disabled="true"
      onSelect={(event) => event.preventDefault()}
      className={cx(menuItemClass, "flex-col items-start gap-0.5 py-1.5")}
    >
      <span className="text-faint">{label}</span>
      <span className="text-xs text-soft">{reason}</span>
      {remedy}
    </Radix.Item>
  );
}
