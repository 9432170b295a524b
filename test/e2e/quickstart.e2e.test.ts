/** `./scripts/quickstart` as a new user runs it: once, again, stopped, and reset. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, freePort, objectsOf } from "../support/product.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Printed {
  url: string;
  email: string;
  password: string;
  apiKey: string;
  workspaceId: string;
  serverId: string;
}

describe("quickstart", () => {
  const home = mkdtempSync(join(tmpdir(), "dflow-quickstart-"));
  let port: number;
  let printed: Printed;
  let container: string;

  function quickstart(...flags: string[]): { code: number | null; stdout: string; stderr: string } {
    const result = spawnSync("bash", [join(ROOT, "scripts/quickstart"), ...flags], {
      env: { ...process.env, DFLOW_HOME: home },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 300_000,
    });
    return { code: result.status, stdout: result.stdout, stderr: result.stderr };
  }

  beforeAll(async () => {
    port = await freePort();
  });
  afterAll(() => {
    quickstart("--reset");
    rmSync(home, { recursive: true, force: true });
  });

  it("ends with the version that a client container read from the deployed Postgres", async () => {
    const run = quickstart("--demo", "--json", "--port", String(port));
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/select version\(\)\n\s+PostgreSQL \d+/);
    printed = JSON.parse(run.stdout.trim().split("\n").at(-1) ?? "") as Printed;
    expect(printed.url).toBe(`http://127.0.0.1:${port}`);
    expect(statSync(join(home, "admin.json")).mode & 0o777).toBe(0o600);
    const page = await fetch(printed.url, { headers: { accept: "text/html" } });
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("<title>");
    [container = ""] = objectsOf(printed.serverId).containers;
  });

  it("prints a login that signs in", async () => {
    const response = await fetch(`${printed.url}/api/auth/sign-in/email`, {
      method: "POST",
      headers: { "content-type": "application/json", origin: printed.url },
      body: JSON.stringify({ email: printed.email, password: printed.password }),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("set-cookie")).toMatch(/HttpOnly/i);
  });

  it("changes nothing when it runs again", () => {
    const look = () => ({
      objects: objectsOf(printed.serverId),
      started: docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", container),
      pids: readdirSync(join(home, "run"))
        .sort()
        .map((name) => readFileSync(join(home, "run", name), "utf8")),
      login: readFileSync(join(home, "admin.json"), "utf8"),
    });
    const before = look();
    const run = quickstart("--demo", "--json");
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout.trim())).toEqual(printed);
    expect(look()).toEqual(before);
  });

  it("--stop ends our processes and leaves the database running, and says so", async () => {
    const run = quickstart("--stop");
    expect(run.code).toBe(0);
    expect(run.stderr).toContain("Databases keep running");
    await expect(fetch(printed.url)).rejects.toThrow();
    expect(docker("inspect", "-f", "{{.State.Running}}", container).trim()).toBe("true");
  });

  it("starts again after --stop with the same server and database", () => {
    const run = quickstart("--demo", "--json");
    expect(run.code, run.stderr).toBe(0);
    expect(JSON.parse(run.stdout.trim())).toEqual(printed);
    expect(objectsOf(printed.serverId).containers).toEqual([container]);
  });

  it("--reset removes this agent's objects and our files, and nothing else", () => {
    const foreign = docker("volume", "create", "--label", "sh.dflow.agent=someone-else").trim();
    try {
      const run = quickstart("--reset");
      expect(run.code, run.stderr).toBe(0);
      expect(objectsOf(printed.serverId)).toEqual({ containers: [], volumes: [], networks: [] });
      expect(docker("volume", "ls", "-q", "--filter", "label=sh.dflow.agent=someone-else").trim()).toBe(foreign);
      expect(existsSync(join(home, "control-plane"))).toBe(false);
      expect(existsSync(join(home, "agent"))).toBe(false);
    } finally {
      docker("volume", "rm", foreign);
    }
  });
});
