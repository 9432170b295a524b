/** Whole frames to begin with: all that a side says in the golden transcripts. */
import { type Frame, type Side, transcriptsOf, versions } from "../transcripts/lines.ts";

export interface Pool {
  frames: readonly [Frame, ...Frame[]];
  bytes: readonly Uint8Array[];
}

/** What this side says once it is connected; injected frames too. */
export function poolOf(side: Side): Pool {
  const lines = versions()
    .flatMap(transcriptsOf)
    .flatMap((transcript) => transcript.lines);
  const said = lines.filter((line) => "from" in line && line.from === side && !("close" in line));
  // As often as each is said, commands and reports would drown the rest.
  const byType = Map.groupBy(
    said.flatMap((line) => ("frame" in line ? [line.frame] : [])),
    ({ type, data }) => `${type} ${(data as { kind?: string }).kind ?? ""}`,
  );
  const frames = [...byType.values()].flatMap((alike) =>
    Array.from({ length: 12 }, (_, nth) => alike[nth % alike.length]),
  );
  return {
    frames: frames as unknown as Pool["frames"],
    bytes: said.flatMap((line) => ("bytes" in line ? [Buffer.from(line.bytes, "base64")] : [])),
  };
}
