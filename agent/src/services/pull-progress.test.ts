import { expect, test } from "vitest";
import { createPullProgress } from "./pull-progress.ts";

const MIB = 1024 * 1024;

test("says a few lines a layer out of hundreds of events", () => {
  const lines: string[] = [];
  const hear = createPullProgress((line) => lines.push(line));
  hear({ layer: "17-trixie", status: "Pulling from library/postgres" });
  for (const layer of ["a", "b"]) hear({ layer, status: "Pulling fs layer" });
  hear({ layer: "a", status: "Waiting" });
  for (let part = 0; part <= 100; part += 1) {
    hear({ layer: "a", status: "Downloading", currentBytes: (part * 40 * MIB) / 100, totalBytes: 40 * MIB });
    hear({ layer: "b", status: "Downloading", currentBytes: part * 10, totalBytes: 1_000 });
  }
  hear({ layer: "a", status: "Verifying Checksum" });
  for (const layer of ["a", "b"]) hear({ layer, status: "Pull complete" });
  hear({ status: "Digest: sha256:abc" });
  expect(lines).toEqual([
    "17-trixie: Pulling from library/postgres",
    "a: Pulling fs layer",
    "b: Pulling fs layer",
    "a: Downloading 10.0 of 40.0 MiB",
    "a: Downloading 20.0 of 40.0 MiB",
    "a: Downloading 30.0 of 40.0 MiB",
    "a: Downloading 40.0 of 40.0 MiB",
    "a: Pull complete",
    "b: Pull complete",
    "Digest: sha256:abc",
  ]);
});
