/** How fresh the screen is: live, catching up, or offline since when. */
import { useRouteContext } from "@tanstack/react-router";
import { useSyncExternalStore } from "react";
import { ago } from "../format.ts";
import type { LiveStatus } from "../live.ts";
import { cx } from "../ui/classes.ts";
import { Tooltip } from "../ui/tooltip.tsx";
import { useNow } from "../use-now.ts";

/** Word and sentence for a status. */
export function liveWords(status: LiveStatus, nowMs: number): { word: string; sentence: string } {
  switch (status.state) {
    case "live":
      return { word: "live", sentence: "Changes show up here by themselves." };
    case "connecting":
      return { word: "connecting", sentence: "Opening the stream of changes." };
    case "catching_up":
      return { word: "catching up", sentence: "Asking again for what may have changed meanwhile." };
    case "offline":
      return {
        word: `offline, ${ago(new Date(status.sinceMs).toISOString(), nowMs)}`,
        sentence: "The control plane does not answer. What you see is from before; databases keep running.",
      };
    case "signed_out":
      return { word: "signed out", sentence: "Your session has ended." };
  }
}

export function LiveDot() {
  const { live } = useRouteContext({ from: "__root__" });
  const status = useSyncExternalStore(live.subscribe, live.status);
  const now = useNow(5_000);
  const { word, sentence } = liveWords(status, Math.max(now, Date.now()));
  return (
    <Tooltip content={sentence}>
      <span
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the sentence in the tooltip has to be reachable by keyboard
        tabIndex={0}
        role="status"
        aria-label={`Connection: ${word}`}
        className="flex items-center gap-1.5 rounded-md px-1.5 text-xs whitespace-nowrap text-faint"
      >
        <span
          aria-hidden="true"
          className={cx(
            "size-2 rounded-full",
            status.state === "live" && "bg-good-mark",
            (status.state === "catching_up" || status.state === "connecting") && "animate-pulse bg-moving-mark",
            (status.state === "offline" || status.state === "signed_out") && "border-2 border-bad-mark",
          )}
        />
        {word}
      </span>
    </Tooltip>
  );
}
