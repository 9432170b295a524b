/** The Logs tab: the container's lines, live. */
import type { Service } from "@dflow/protocol";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Clock, Copy, Download, Pause, Play, ScrollText, WrapText } from "lucide-react";
import { type ReactNode, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { countMatches, logText } from "../../components/log-buffer.ts";
import { LogView } from "../../components/log-view.tsx";
import { SearchInput } from "../../components/search-input.tsx";
import { paths } from "../../paths.ts";
import { readPreference, writePreference } from "../../theme.ts";
import { ToneMark } from "../../ui/badge.tsx";
import { Button, buttonClass } from "../../ui/button.tsx";
import { cx } from "../../ui/classes.ts";
import { copyText } from "../../ui/copy.ts";
import { Empty } from "../../ui/empty.tsx";
import { Select } from "../../ui/field.tsx";
import { Problem } from "../../ui/problem.tsx";
import type { LogConnection } from "./log-stream.ts";
import { useServiceLogs } from "./use-service-logs.ts";

const TAILS = [100, 200, 500, 1000, 5000] as const;
const TAIL_DEFAULT = 200;

export function ServiceLogsTab({ service }: { service: Service }) {
  const verdict = service.actions.logs;
  // Lines that are already here stay when the server goes away; only a first look needs the verdict.
  const [opened, setOpened] = useState(verdict.verdict === "allowed");
  useEffect(() => setOpened((was) => was || verdict.verdict === "allowed"), [verdict.verdict]);
  if (!opened) {
    return (
      <Empty icon={<ScrollText size={18} aria-hidden="true" />} title="No logs to show">
        {verdict.sentence ?? "There is no container to read logs from yet."}
      </Empty>
    );
  }
  return <LiveLogs service={service} />;
}

function LiveLogs({ service }: { service: Service }) {
  const search = useSearch({ from: "/app/services/$serviceId" });
  const navigate = useNavigate();
  const tail = search.tail ?? TAIL_DEFAULT;
  const query = search.q ?? "";
  const [paused, setPaused] = useState(false);
  const [times, setTimes] = usePreference("dflow.logs.times", true);
  const [wrap, setWrap] = usePreference("dflow.logs.wrap", true);
  const container = `${service.observed.containerId ?? ""}@${service.observed.startedAt ?? ""}`;
  const { buffer, connection, held, reconnect } = useServiceLogs(service.id, tail, paused, container);
  const marked = useDeferredValue(query);
  const matches = useMemo(() => countMatches(buffer, marked), [buffer, marked]);
  const frame = useRef<HTMLDivElement>(null);
  const jump = useMatchJump(frame, matches);

  const setSearch = (change: { q?: string | undefined; tail?: number | undefined }) =>
    void navigate({
      to: paths.service,
      params: { serviceId: service.id },
      search: { ...search, ...change },
      replace: true,
      resetScroll: false,
    });
  const download = () => {
    const url = URL.createObjectURL(new Blob([logText(buffer, true)], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${service.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.log`;
    link.click();
    URL.revokeObjectURL(url);
  };

  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-center gap-2">
        {/* biome-ignore lint/a11y/noStaticElementInteractions: Enter in the field inside walks from match to match */}
        <div
          className="flex min-w-0 items-center gap-2"
          onKeyDown={(event) => event.key === "Enter" && jump(event.shiftKey ? -1 : 1)}
        >
          <SearchInput label="Search log" value={query} onChange={(q) => setSearch({ q: q === "" ? undefined : q })} />
          {query !== "" && (
            <span role="status" className="text-xs whitespace-nowrap text-soft tabular-nums">
              {matches} {matches === 1 ? "match" : "matches"}
            </span>
          )}
        </div>
        <Select
          compact
          aria-label="Lines of history"
          value={tail}
          onChange={(event) => setSearch({ tail: Number(event.target.value) })}
        >
          {TAILS.map((lines) => (
            <option key={lines} value={lines}>
              last {lines} lines
            </option>
          ))}
        </Select>
        <span className="flex flex-wrap gap-1 sm:ml-auto">
          <Button size="sm" className="h-8" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? <Play size={14} aria-hidden="true" /> : <Pause size={14} aria-hidden="true" />}
            {paused ? "Resume" : "Pause"}
            {paused && held > 0 && <span className="tabular-nums">({held} new)</span>}
          </Button>
          <Toggle
            label="Timestamps"
            pressed={times}
            onPress={() => setTimes(!times)}
            icon={<Clock size={15} aria-hidden="true" />}
          />
          <Toggle
            label="Wrap lines"
            pressed={wrap}
            onPress={() => setWrap(!wrap)}
            icon={<WrapText size={15} aria-hidden="true" />}
          />
          <IconButton
            label="Copy log"
            onPress={() => void copyText(logText(buffer, times))}
            icon={<Copy size={15} aria-hidden="true" />}
          />
          <IconButton label="Download log" onPress={download} icon={<Download size={15} aria-hidden="true" />} />
        </span>
      </div>
      {connection.state === "refused" && (
        <Problem title="The log cannot be read" error={connection.error} onRetry={reconnect} />
      )}
      <div className="overflow-hidden rounded-lg border border-line">
        <LogView
          label={`Log of ${service.name}`}
          buffer={buffer}
          query={marked}
          wrap={wrap}
          times={times}
          frame={frame}
          empty={connection.state === "live" ? "The container has not written anything yet." : "Nothing to show."}
          className="h-[max(280px,calc(100dvh-320px))]"
        />
        <ConnectionBar connection={connection} paused={paused} lines={buffer.size} onReconnect={reconnect} />
      </div>
    </div>
  );
}

function ConnectionBar(props: { connection: LogConnection; paused: boolean; lines: number; onReconnect: () => void }) {
  const { connection, paused, lines, onReconnect } = props;
  const { tone, words } = connectionWords(connection, paused);
  return (
    <div className="flex min-h-8 items-center justify-between gap-3 border-t border-line bg-surface px-3 text-xs text-soft">
      <span role="status" className="flex items-center gap-1.5">
        <ToneMark tone={tone} />
        {words}
      </span>
      <span className="flex items-center gap-2 tabular-nums">
        {connection.state === "ended" && (
          <Button size="sm" variant="ghost" onClick={onReconnect}>
            Read on
          </Button>
        )}
        {lines} lines
      </span>
    </div>
  );
}

export function connectionWords(connection: LogConnection, paused: boolean) {
  switch (connection.state) {
    case "connecting":
      return { tone: "moving", words: "Connecting" } as const;
    case "live":
      return paused
        ? ({ tone: "quiet", words: "Paused; new lines are held back" } as const)
        : ({ tone: "good", words: "Live" } as const);
    case "waiting":
      return { tone: "moving", words: connection.words } as const;
    case "ended":
      return { tone: "quiet", words: connection.words } as const;
    case "refused":
      return { tone: "bad", words: "Not connected" } as const;
  }
}

function usePreference(key: string, initial: boolean): [boolean, (value: boolean) => void] {
  const [value, setValue] = useState(() => (readPreference(key) ?? String(initial)) === "true");
  return [
    value,
    (next) => {
      writePreference(key, String(next));
      setValue(next);
    },
  ];
}

/** Enter goes to the next match, Shift+Enter to the one before. */
function useMatchJump(frame: React.RefObject<HTMLDivElement | null>, matches: number): (by: 1 | -1) => void {
  const at = useRef(-1);
  return (by) => {
    const marks = frame.current?.querySelectorAll("mark");
    if (marks === undefined || marks.length === 0 || matches === 0) return;
    marks[at.current]?.removeAttribute("data-current");
    at.current = (at.current + by + marks.length) % marks.length;
    const mark = marks[at.current];
    mark?.setAttribute("data-current", "");
    mark?.scrollIntoView({ block: "center" });
  };
}

interface IconButtonProps {
  label: string;
  icon: ReactNode;
  onPress: () => void;
}

function IconButton({ label, icon, onPress }: IconButtonProps) {
  return (
    <button type="button" aria-label={label} title={label} onClick={onPress} className={buttonClass("ghost", "icon")}>
      {icon}
    </button>
  );
}

function Toggle({ label, icon, onPress, pressed }: IconButtonProps & { pressed: boolean }) {
  return (
    <button
      type="button"
      aria-label={label}
      aria-pressed={pressed}
      title={label}
      onClick={onPress}
      className={cx(buttonClass("ghost", "icon"), pressed && "bg-hover text-ink")}
    >
      {icon}
    </button>
  );
}
