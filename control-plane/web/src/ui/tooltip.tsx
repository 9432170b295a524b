/**
 * A word of explanation on hover and on focus. Never the only place where something is said. Our own, because the library's
 * brings a positioning engine of 17 kB to the first page for what is one rectangle under another.
 */
import {
  cloneElement,
  type FocusEvent,
  type PointerEvent,
  type ReactElement,
  type ReactNode,
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { createPortal } from "react-dom";

const OPEN_AFTER_MS = 250;
/** Time to move from the trigger onto the words, which may be read and copied. */
const CLOSE_AFTER_MS = 120;
const GAP = 6;
const MARGIN = 8;

interface TooltipProps {
  content: ReactNode;
  /** One element that can have the focus. */
  children: ReactElement<{ "aria-describedby"?: string | undefined }>;
}

export function Tooltip({ content, children }: TooltipProps) {
  const id = useId();
  const anchor = useRef<HTMLSpanElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const [anchorBox, setAnchorBox] = useState<DOMRect>();
  const open = anchorBox !== undefined;

  const set = useCallback((shown: boolean, afterMs: number) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setAnchorBox(shown ? anchor.current?.firstElementChild?.getBoundingClientRect() : undefined);
    }, afterMs);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (!open) return;
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && set(false, 0);
    const onScroll = () => set(false, 0);
    addEventListener("keydown", onKey);
    addEventListener("scroll", onScroll, { capture: true, passive: true });
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("scroll", onScroll, { capture: true });
    };
  }, [open, set]);

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a box without a box, around the element that has the role
    <span
      ref={anchor}
      className="contents"
      onPointerEnter={(event: PointerEvent) => event.pointerType !== "touch" && set(true, OPEN_AFTER_MS)}
      onPointerLeave={() => set(false, CLOSE_AFTER_MS)}
      onPointerDown={() => set(false, 0)}
      onFocus={(event: FocusEvent) => event.target.matches(":focus-visible") && set(true, 0)}
      onBlur={() => set(false, 0)}
    >
      {cloneElement(children, { "aria-describedby": children.props["aria-describedby"] ?? (open ? id : undefined) })}
      {open && createPortal(<Words id={id} anchorBox={anchorBox} content={content} />, home())}
    </span>
  );
}

/** Inside the page's main part, so that readers meet it within a landmark. */
const home = () => document.getElementById("content") ?? document.body;

/** Under the trigger and in its middle; above it where there is no room; never outside the window. */
function Words({ id, anchorBox, content }: { id: string; anchorBox: DOMRect; content: ReactNode }) {
  const bubble = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = bubble.current;
    if (element === null) return;
    const { width, height } = element.getBoundingClientRect();
    const left = anchorBox.left + anchorBox.width / 2 - width / 2;
    const below = anchorBox.bottom + GAP;
    const fits = below + height + MARGIN <= innerHeight;
    element.style.left = `${Math.max(MARGIN, Math.min(left, document.body.clientWidth - width - MARGIN))}px`;
    element.style.top = `${fits ? below : Math.max(MARGIN, anchorBox.top - GAP - height)}px`;
  }, [anchorBox]);
  return (
    <div
      ref={bubble}
      id={id}
      role="tooltip"
      className="fixed top-0 left-0 z-50 w-max max-w-72 animate-fade rounded-md border border-line bg-surface px-2.5 py-1.5 text-left text-xs font-normal whitespace-normal text-ink shadow-float"
    >
      {content}
    </div>
  );
}
