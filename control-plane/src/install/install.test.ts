import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startApi, type TestApi } from "../testing/api.ts";
import { withAddress } from "./release.ts";

const ARCHIVE = Buffer.alloc(300_000, 7);
let releaseDir: string;
let api: TestApi;
beforeEach(() => {
  releaseDir = mkdtempSync(join(tmpdir(), "dflow-release-"));
});
afterEach(async () => {
  await api.close();
  rmSync(releaseDir, { recursive: true });
});

async function start(publicUrl: string, released: boolean): Promise<void> {
  if (released) {
    writeFileSync(join(releaseDir, "install.sh"), "#!/bin/sh\nSERVED_FROM=''\n");
    writeFileSync(join(releaseDir, "agent-linux-x64.tar.xz"), ARCHIVE);
    writeFileSync(join(releaseDir, "agent-linux-x64.tar.xz.sha256"), `${"0".repeat(64)}  agent-linux-x64.tar.xz\n`);
    writeFileSync(join(releaseDir, "control-plane.mjs"), "not for download");
  }
  api = await startApi({ publicUrl, releaseDir });
}

async function installCommand(): Promise<unknown> {
  const { keys, workspaceId } = await api.world();
  const path = `/api/v1/workspaces/${workspaceId}/enrolment-tokens`;
  const made = await api.ask<{ installCommand: unknown }>("POST", path, {
    as: keys.admin,
    body: { serverName: "new" },
  });
  return made.body.installCommand;
}

test("the installer is served to anybody, with this control plane's address in it", async () => {
  await start("https://db.example.org", true);
  const response = await api.send("GET", "/install.sh");
  expect([response.status, await response.text()]).toEqual([200, "#!/bin/sh\nSERVED_FROM='https://db.example.org'\n"]);
});

test("an archive and its hash are served whole, and nothing else of that folder", async () => {
  await start("https://db.example.org", true);
  const archive = await api.send("GET", "/install/agent-linux-x64.tar.xz");
  expect(Buffer.from(await archive.arrayBuffer()).equals(ARCHIVE)).toBe(true);
  expect(archive.headers.get("content-length")).toBe(String(ARCHIVE.length));
  expect(await (await api.send("GET", "/install/agent-linux-x64.tar.xz.sha256")).text()).toMatch(/^0{64} /);
  for (const name of ["agent-linux-arm64.tar.xz", "control-plane.mjs", "install.sh", "..%2fconfig.json", ""]) {
    expect([name, (await api.send("GET", `/install/${name}`)).status]).toEqual([name, 404]);
  }
});

test("Add server has a line where the line can work, and the line holds no token", async () => {
  await start("https://db.example.org", true);
  expect(await installCommand()).toBe("curl -fsSL https://db.example.org/install.sh | sudo sh");
});

test("Add server has no line on loopback", async () => {
  await start("http://127.0.0.1:3100", true);
  expect(await installCommand()).toBeNull();
});

test("Add server has no line without an archive, and the installer says what is missing", async () => {
  await start("https://db.example.org", false);
  expect(await installCommand()).toBeNull();
  const { status, body } = await api.ask("GET", "/install.sh");
  expect([status, body.hint]).toEqual([404, expect.stringContaining("scripts/archive")]);
});

test("an address cannot leave its quotes", () => {
  expect(withAddress("a\nSERVED_FROM=''\nb", "https://a'$(reboot)")).toBe(
    "a\nSERVED_FROM='https://a'\\''$(reboot)'\nb",
  );
});
