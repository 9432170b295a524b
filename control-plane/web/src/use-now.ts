/** A present that moves while the page is looked at: one ticker a pace, however many ages tick by it. */
import { useSyncExternalStore } from "react";
import { serverClock } from "./clock.ts";

interface Ticker {
  subscribe: (listener: () => void) => () => void;
  now: () => number;
}

function createTicker(everyMs: number): Ticker {
  const listeners = new Set<() => void>();
  let now = serverClock.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const tick = () => {
    now = serverClock.now();
    for (const listener of listeners) listener();
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      if (timer === undefined) {
        now = serverClock.now();
        timer = setInterval(tick, everyMs);
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
    now: () => now,
  };
}

const tickers = new Map<number, Ticker>();

export function useNow(everyMs = 1000): number {
  let ticker = tickers.get(everyMs);
  if (ticker === undefined) {
    ticker = createTicker(everyMs);
    tickers.set(everyMs, ticker);
  }
  return useSyncExternalStore(ticker.subscribe, ticker.now);
}
