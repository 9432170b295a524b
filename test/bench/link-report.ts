/** The table and the last line of `npm run bench:link`. Pure. */

export interface Row {
  what: string;
  unit: string;
  ours: number;
  /** Of NATS; left out where it has nothing to compare. */
  nats?: number | undefined;
  /** As issue 4 has it: `≤ 30`. */
  target?: string;
}

export function quantileOf(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN;
}

export function tableOf(rows: readonly Row[]): string[] {
  const head = ["what", "unit", "dFlow", "nats-server", "ratio", "target"].join(" | ");
  const lines = rows.map(({ what, unit, ours, nats, target }) => {
    const ratio = nats === undefined || nats === 0 ? "–" : (ours / nats).toFixed(2);
    return [what, unit, rounded(ours), nats === undefined ? "–" : rounded(nats), ratio, target ?? "–"].join(" | ");
  });
  return [head, ...lines];
}

/** One decimal below a hundred, none above: what lies behind it is noise. */
export function rounded(value: number): number {
  return Math.abs(value) < 100 ? Math.round(value * 10) / 10 : Math.round(value);
}
