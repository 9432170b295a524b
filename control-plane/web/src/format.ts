/** Times, durations and sizes as people say them. Pure: the present comes in as an argument. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** "3 s ago", "5 min ago", "2 h ago", "4 days ago"; the date itself once it is more than 30 days back. */
export function ago(at: string, nowMs: number): string {
  // A clock that runs a little ahead must not show something from the future.
  const ageMs = Math.max(0, nowMs - Date.parse(at));
  if (ageMs < SECOND) return "just now";
  if (ageMs < MINUTE) return `${Math.floor(ageMs / SECOND)} s ago`;
  if (ageMs < HOUR) return `${Math.floor(ageMs / MINUTE)} min ago`;
  if (ageMs < DAY) return `${Math.floor(ageMs / HOUR)} h ago`;
  if (ageMs < 30 * DAY) return `${plural(Math.floor(ageMs / DAY), "day")} ago`;
  return `on ${new Date(at).toISOString().slice(0, 10)}`;
}

/** How long until a moment: "in 14 min", or "now" when it has passed. */
export function until(at: string, nowMs: number): string {
  const leftMs = Date.parse(at) - nowMs;
  if (leftMs <= 0) return "now";
  if (leftMs < MINUTE) return `in ${Math.ceil(leftMs / SECOND)} s`;
  if (leftMs < HOUR) return `in ${Math.ceil(leftMs / MINUTE)} min`;
  if (leftMs < 2 * DAY) return `in ${Math.round(leftMs / HOUR)} h`;
  return `in ${Math.round(leftMs / DAY)} days`;
}

/** A length of time: "840 ms", "3.2 s", "42 s", "2 min 5 s", "1 h 20 min", "3 days". */
export function duration(ms: number): string {
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return pair(Math.floor(ms / MINUTE), "min", Math.floor((ms % MINUTE) / SECOND), "s");
  if (ms < DAY) return pair(Math.floor(ms / HOUR), "h", Math.floor((ms % HOUR) / MINUTE), "min");
  return plural(Math.floor(ms / DAY), "day");
}

function pair(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Binary sizes: "512 MiB", "1.5 GiB". */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** The full moment in the reader's own zone, for a tooltip: "23 Nov 2026, 14:05:09 UTC". */
export function moment(at: string, timeZone?: string): string {
  return new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
    ...(timeZone === undefined ? {} : { timeZone }),
  }).format(new Date(at));
}

/** Time of day with milliseconds for a log line, in the reader's own zone: "14:05:09.123". */
export function clockTime(at: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  const two = (value: number) => String(value).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

export function count(value: number, noun: string): string {
  return plural(value, noun);
}
