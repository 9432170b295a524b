import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { cli, realClock, realDocker } from "../../test/real-docker.ts";
import { createRig, type Rig } from "../../test/runner-rig.ts";
import { KEEP_UNUSED_MS } from "./retention.ts";
import { sweepImages } from "./sweep.ts";

const docker = realDocker(newId(), "/tmp");
const signal = new AbortController().signal;
let rig: Rig;
let laterMs: number;
let made: string[];
let containers: string[];

/** The machine's clock, moved on by the test. */
const clock = {
  ...realClock,
  wallMs: () => realClock.wallMs() + laterMs,
  monotonicMs: () => realClock.monotonicMs() + laterMs,
};

beforeEach(() => {
  laterMs = 0;
  made = [];
  containers = [];
  rig = createRig({ clock, docker });
});
afterEach(async () => {
  await rig.dispose();
  for (const id of containers) cli("rm", "-f", id);
  for (const name of made) if (exists(name)) cli("rmi", name);
});

/** An image of its own, of one empty folder. */
function newImage(): string {
  const name = `dflow-test/sweep-${newId()}:1`;
  const tar = execFileSync("tar", ["-C", "/", "--no-recursion", "-cf", "-", "./tmp"]);
  execFileSync("docker", ["import", "--change", `LABEL one=${name}`, "-", name], { input: tar });
  made.push(name);
  return name;
}
/** As if this agent had pulled it. */
async function pulled(name: string): Promise<string> {
  const image = await docker.findImage(name);
  if (image === undefined) throw new Error(`${name} is not there`);
  rig.journal.images.put({
    reference: name,
    imageId: image.id,
    pulledAt: rig.journal.images.get(name)?.pulledAt ?? now(),
  });
  return name;
}
const now = () => ({ bootId: clock.bootId(), monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
const exists = (name: string) => cli("images", "-q", name) !== "";
const sweep = () => sweepImages({ clock, docker, journal: rig.journal, log: rig.log }, signal);
async function aWeek() {
  await sweep();
  laterMs += KEEP_UNUSED_MS;
  await sweep();
}

test("removes what it pulled and nobody uses, and nothing else", async () => {
  const [ours, foreign] = [await pulled(newImage()), newImage()];
  await sweep();
  laterMs += KEEP_UNUSED_MS - 60_000;
  await sweep();
  expect(exists(ours)).toBe(true);
  laterMs += 60_000;
  await sweep();
  expect([exists(ours), exists(foreign)]).toEqual([false, true]);
  expect(rig.journal.images.all()).toEqual([]);
});

test("keeps what a container of anybody uses, also a stopped one, until it is gone", async () => {
  const used = await pulled(newImage());
  const container = cli("create", used, "none");
  await aWeek();
  await aWeek();
  expect(exists(used)).toBe(true);
  expect(await docker.removeImage(used)).toBe("in_use");
  cli("rm", container);
  await aWeek();
  expect(exists(used)).toBe(false);
  expect(await docker.removeImage(used)).toBe("absent");
});

test("takes only its own name from an image that has another one too", async () => {
  const ours = await pulled(newImage());
  const theirs = `dflow-test/sweep-${newId()}:theirs`;
  cli("tag", ours, theirs);
  made.push(theirs);
  await aWeek();
  expect([exists(ours), exists(theirs)]).toEqual([false, true]);
});

test("leaves its name to whoever gave it to another image", async () => {
  const ours = await pulled(newImage());
  const other = newImage();
  cli("tag", ours, `${ours}-kept`);
  made.push(`${ours}-kept`);
  cli("tag", other, ours);
  await aWeek();
  expect([exists(ours), exists(other), exists(`${ours}-kept`)]).toEqual([true, true, true]);
});
