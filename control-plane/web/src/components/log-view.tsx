/** Shows a log: monospaced, following its end until someone scrolls up, with what was searched for marked. */
import { ArrowDown } from "lucide-react";
import { Fragment, memo, type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { clockTime } from "../format.ts";
import { Button } from "../ui/button.tsx";
import { cx } from "../ui/classes.ts";
import { type LineTone, type LogBuffer, type LogChunk, matchRanges } from "./log-buffer.ts";

interface LogViewProps {
  label: string;
  buffer: LogBuffer;
  query?: string;
  wrap?: boolean;
  times?: boolean;
  /** Shown instead of lines while there are none. */
  empty: string;
  className?: string;
  /** For jumping from match to match. */
  frame?: RefObject<HTMLDivElement | null>;
  onFollowChange?: (follows: boolean) => void;
}

/** Pixels from the end within which the reader counts as being there. */
const AT_END = 24;

export function LogView(props: LogViewProps) {
  const { label, buffer, query = "", wrap = true, times = true, empty, className, frame, onFollowChange } = props;
  const own = useRef<HTMLDivElement>(null);
  const scroller = frame ?? own;
  const [follows, setFollows] = useState(true);

  const change = useCallback(
    (next: boolean) => {
      setFollows(next);
      onFollowChange?.(next);
    },
    [onFollowChange],
  );
  const toEnd = useCallback(() => {
    const element = scroller.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  }, [scroller]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line, and each change of the lines' height, moves the end
  useLayoutEffect(() => {
    if (follows) toEnd();
  }, [buffer, follows, wrap, times, toEnd]);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => follows && toEnd());
    observer.observe(element);
    return () => observer.disconnect();
  }, [scroller, follows, toEnd]);

  const onScroll = () => {
    const element = scroller.current;
    if (element === null) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight <= AT_END;
    if (atEnd !== follows) change(atEnd);
  };

  return (
    <div className="relative">
      {/* A line a moment would talk over everything else: readers move through it on their own. */}
      <div
        ref={scroller}
        role="log"
        aria-label={label}
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region needs the focus to be scrolled by keys
        tabIndex={0}
        onScroll={onScroll}
        className={cx(
          "overflow-auto overscroll-contain bg-sunken py-2 font-mono text-code -outline-offset-2",
          className,
        )}
      >
        {buffer.dropped > 0 && (
          <p className="px-4 pb-1 text-faint">{buffer.dropped} earlier lines are no longer shown here.</p>
        )}
        {buffer.size === 0 ? (
          <p className="px-4 py-1 text-faint">{empty}</p>
        ) : (
          <div className={wrap ? "" : "w-max min-w-full"}>
            {buffer.chunks.map((chunk) => (
              <Chunk key={chunk.key} chunk={chunk} query={query} wrap={wrap} times={times} />
            ))}
          </div>
        )}
      </div>
      {!follows && (
        <Button
          size="sm"
          className="absolute right-4 bottom-3 shadow-float"
          onClick={() => {
            change(true);
            toEnd();
          }}
        >
          <ArrowDown size={13} aria-hidden="true" />
          Follow
        </Button>
      )}
    </div>
  );
}

const TONES: Record<LineTone, string> = {
  plain: "",
  // Databases write their whole log there: marked at the edge, not shouted.
  stderr: "",
  ours: "text-accent-text",
  warn: "text-moving",
  error: "text-bad",
  note: "text-faint italic",
};

const EDGES: Record<LineTone, string> = {
  plain: "border-transparent",
  stderr: "border-moving-mark/60",
  ours: "border-transparent",
  warn: "border-moving-mark",
  error: "border-bad-mark",
  note: "border-transparent",
};

interface ChunkProps {
  chunk: LogChunk;
  query: string;
  wrap: boolean;
  times: boolean;
}

const Chunk = memo(function Chunk({ chunk, query, wrap, times }: ChunkProps) {
  return (
    <div>
      {chunk.lines.map(({ key, at, tone, text }) => (
        <div
          key={key}
          title={tone === "stderr" ? "Written to stderr" : undefined}
          className={cx("flex gap-3 border-l-2 px-3.5 hover:bg-hover/60", EDGES[tone])}
        >
          {times && (
            <time dateTime={at} title={at} className="shrink-0 text-faint select-none">
              {at === undefined ? "" : clockTime(at)}
            </time>
          )}
          <span
            className={cx(
              "min-w-0",
              TONES[tone],
              wrap ? "[overflow-wrap:anywhere] whitespace-pre-wrap" : "whitespace-pre",
            )}
          >
            <Marked text={text} query={query} />
          </span>
        </div>
      ))}
    </div>
  );
});

function Marked({ text, query }: { text: string; query: string }) {
  const ranges = matchRanges(text, query);
  if (ranges.length === 0) return text === "" ? " " : text;
  let from = 0;
  return (
    <>
      {ranges.map(([start, end]) => {
        const before = text.slice(from, start);
        from = end;
        return (
          <Fragment key={start}>
            {before}
            <mark className="rounded-xs bg-mark text-on-mark data-current:outline-2 data-current:outline-accent">
              {text.slice(start, end)}
            </mark>
          </Fragment>
        );
      })}
      {text.slice(from)}
    </>
  );
}
