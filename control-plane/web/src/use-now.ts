/** A present that moves while the page is looked at, for ages that tick. */
import { useEffect, useState } from "react";
import { serverClock } from "./clock.ts";

export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => serverClock.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverClock.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
