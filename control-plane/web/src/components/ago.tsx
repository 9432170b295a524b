/** A relative time that ticks, with the moment itself on hover. */
import { ago, moment } from "../format.ts";
import { useNow } from "../use-now.ts";

export function Ago({ at, prefix = "" }: { at: string; prefix?: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={moment(at)} className="whitespace-nowrap tabular-nums">
      {prefix}
      {ago(at, now)}
    </time>
  );
}
