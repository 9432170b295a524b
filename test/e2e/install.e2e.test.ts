/** install.sh as an admin runs it, on a fresh Debian with systemd in a container that uses this machine's Docker engine. */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Server } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, objectsOf, type Product, psql, startProduct } from "../support/product.ts";
import { type SystemdMachine, startSystemdMachine } from "../support/systemd-machine.ts";
import { until } from "../support/until.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const ARCH = process.arch === "arm64" ? "arm64" : "x64";
const ARCHIVE = `agent-linux-${ARCH}.tar.xz`;
const PROGRAMS = "/usr/local/lib/dflow-agent";

describe("install.sh on a fresh server with systemd (its Docker engine is this machine's, by the socket)", () => {
  // Not in /tmp, of which the unit has one of its own.
  const dataDir = mkdtempSync("/var/lib/dflow-test-install-");
  const releaseDir = mkdtempSync(join(tmpdir(), "dflow-test-release-"));
  let machine: SystemdMachine;
  let product: Product;
  let untouched: string[];
  let serverId = "";
  let serviceId: string;
  let environmentId: string;

  const run: SystemdMachine["run"] = (...command) => machine.run(...command);
  const install = (...flags: string[]) =>
    run("sh", "-c", `curl -fsSL ${product.url}/install.sh | sh -s -- --data-dir ${dataDir} ${flags.join(" ")}`);
  const property = async (name: string) =>
    (await run("systemctl", "show", "-p", name, "--value", "dflow-agent")).stdout.trim();
  /** Every path where programs and units can be, with type, size and time of change. */
  const systemFiles = async () => {
    const { stdout } = await run("find", "/usr", "/etc", "/opt", "-xdev", "-printf", "%p %y %s %T@\\n");
    return stdout.split("\n").sort();
  };
  const commandLines = async () => (await run("sh", "-c", "cat /proc/[0-9]*/cmdline")).stdout.replaceAll("\0", " ");
  const newToken = async (serverName: string) =>
    (
      await product.call<{ token: string }>("POST", `/workspaces/${product.login.workspaceId}/enrolment-tokens`, {
        serverName,
      })
    ).token;
  const databases = () =>
    objectsOf(serverId).containers.map((name) => docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", name).trim());
  const select1 = async () => {
    const { uri } = await product.call<{ uri: string }>("GET", `/services/${serviceId}/credentials`);
    return (await psql(environmentId, uri, "select 1")).output.trim();
  };

  /** The line in a terminal: the token is typed at the question. */
  const installAtTerminal = (token: string) =>
    machine.atTerminal(`curl -fsSL ${product.url}/install.sh | sh -s -- --data-dir ${dataDir}`, [
      { question: "Token from", answer: token },
    ]);

  beforeAll(async () => {
    for (const name of ["install.sh", ARCHIVE, `${ARCHIVE}.sha256`]) {
      copyFileSync(join(ROOT, "dist", name), join(releaseDir, name));
    }
    product = await startProduct({ controlPlaneConfig: { releaseDir } });
    machine = await startSystemdMachine(dataDir);
    untouched = await systemFiles();
  });
  afterAll(async () => {
    await machine?.run("mv", "/usr/bin/no-curl", "/usr/bin/curl");
    if (serverId !== "") await install("--uninstall", "--purge", "--yes");
    await machine?.remove();
    rmSync(dataDir, { recursive: true, force: true });
    rmSync(releaseDir, { recursive: true, force: true });
    await product?.stop();
  });

  it("--dry-run checks, says what it would do, and changes nothing", async () => {
    const { code, stdout, stderr } = await install("--dry-run");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Checked: linux-.*Docker \d+\.\d+.* answers\.$/m);
    expect(stdout).toContain("Would enrol this server");
    expect(stdout).toContain("Nothing was changed.");
    expect([await systemFiles(), readdirSync(dataDir)]).toEqual([untouched, []]);
  });

  it("--dry-run says that it would install Docker where there is none, and without it goes no further unasked", async () => {
    await run("mv", "/usr/bin/docker", "/usr/bin/no-docker");
    try {
      const before = await systemFiles();
      const dry = await install("--dry-run");
      expect([dry.code, dry.stdout]).toEqual([
        0,
        expect.stringContaining("Would install Docker from the distribution"),
      ]);
      writeFileSync(join(dataDir, "token"), "jt1.none");
      const refused = await install("--token-file", `${dataDir}/token`);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("run this with --yes")]);
      expect(await systemFiles()).toEqual(before);
    } finally {
      rmSync(join(dataDir, "token"), { force: true });
      await run("mv", "/usr/bin/no-docker", "/usr/bin/docker");
      // The folder that it was moved in has a new time of change.
      untouched = await systemFiles();
    }
  });

  it("refuses, before it changes anything, what cannot work, and says what to do", async () => {
    const refusals = [
      await install(),
      await install("--url", "http://db.example.org"),
      await install("--url", "http://127.0.0.1:9"),
      await install("jt1.a-token-on-the-command-line"),
      await install("--token-file", "/nowhere"),
    ];
    expect(refusals.map(({ code }) => code)).toEqual([1, 1, 1, 1, 1]);
    const [noTerminal, plainHttp, unreachable, argument, noFile] = refusals.map(({ stderr }) => stderr);
    expect(noTerminal).toContain("--token-file");
    expect(plainHttp).toContain("only https leaves this machine");
    expect(unreachable).toContain("cannot be reached");
    expect(argument).not.toContain("jt1.");
    expect(noFile).toContain("/nowhere cannot be read");
    expect([await systemFiles(), readdirSync(dataDir)]).toEqual([untouched, []]);
  });

  it("the line, the token typed unseen, then a database deployed on that server, within 60 s", async () => {
    const token = await newToken("installed");
    const startedAt = performance.now();
    const watching = run(
      "sh",
      "-c",
      "until [ -e /run/done ]; do cat /proc/[0-9]*/cmdline 2>/dev/null; sleep 0.02; done",
    );
    const { code, screen } = await installAtTerminal(token);
    const installedMs = performance.now() - startedAt;
    expect(code, screen).toBe(0);
    expect(screen).toMatch(/"installed" at http:\/\/127\.0\.0\.1:\d+: online since/);
    expect(screen).not.toContain(token.slice(0, 12));
    const { items } = await product.call<{ items: Server[] }>(
      "GET",
      `/workspaces/${product.login.workspaceId}/servers`,
    );
    const server = items.find(({ name }) => name === "installed");
    expect(server?.link).toBe("online");
    serverId = server?.id ?? "";
    const application = await product.call("POST", `/workspaces/${product.login.workspaceId}/applications`, {
      name: "Shop",
    });
    const environment = await product.call("POST", `/applications/${application.id}/environments`, {
      name: "production",
      serverId,
    });
    environmentId = String(environment.id);
    serviceId = (await product.createService(environmentId, "orders")).id;
    expect((await product.run(serviceId, "deploy")).state).toBe("succeeded");
    const totalMs = performance.now() - startedAt;
    console.log(`installed in ${Math.round(installedMs)} ms, database up after ${Math.round(totalMs)} ms`);
    expect(totalMs).toBeLessThan(60_000);
    expect(await select1()).toBe("1");
    await run("touch", "/run/done");
    const seen = (await watching).stdout.replaceAll("\0", " ");
    expect(seen).toContain("agent.mjs enrol");
    expect(seen).not.toContain("jt1.");
    expect(await commandLines()).toContain(`agent.mjs run --data-dir ${dataDir}`);
    expect((await run("grep", "-rlF", token.slice(4, 60), "/etc", "/usr/local", dataDir, "/root")).stdout).toBe("");
  });

  it("the service is held in: no new rights, a read-only system, its own folder alone, bounds on memory and tasks", async () => {
    expect(await property("NoNewPrivileges")).toBe("yes");
    expect(await property("ProtectSystem")).toBe("strict");
    expect(await property("ReadWritePaths")).toBe(dataDir);
    expect(await property("MemoryMax")).toBe(String(512 << 20));
    const pid = await property("MainPID");
    expect((await run("ls", "-A", "/root")).stdout).toContain(".profile");
    const inside = await run("nsenter", "-m", "-t", pid, "sh", "-c", "touch /usr/x; touch /etc/x; ls -A /root");
    expect(inside.stderr.match(/Read-only file system/g)).toHaveLength(2);
    expect(inside.stdout).toBe("");
    const { stdout: status } = await run("cat", `/proc/${pid}/status`);
    expect(status).toMatch(/NoNewPrivs:\s+1/);
    expect(status).toMatch(/CapEff:\s+0{15}b\n/);
    expect(status).toMatch(/Seccomp:\s+2/);
  });

  it("run again it changes nothing", async () => {
    const look = async () => [
      await systemFiles(),
      await property("MainPID"),
      databases(),
      readFileSync(`${dataDir}/agent.json`, "utf8"),
    ];
    const before = await look();
    // The folder was chosen at the first run.
    const { code, stdout, stderr } = await run("sh", "-c", `curl -fsSL ${product.url}/install.sh | sh`);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("nothing was changed");
    expect(await look()).toEqual(before);
  });

  it("with --rekey it gives the server a new key, its databases untouched, and refuses that where there is none", async () => {
    const elsewhere = await install("--rekey", "--data-dir", "/var/lib/dflow-nowhere");
    expect([elsewhere.code, elsewhere.stderr]).toEqual([1, expect.stringContaining("there is no server in")]);
    const keyFile = join(dataDir, "key.json");
    const before = { key: readFileSync(keyFile, "utf8"), databases: databases(), pid: await property("MainPID") };
    const made = await product.call<{ token: string; installCommand: string | null }>(
      "POST",
      `/servers/${serverId}/rekey-token`,
    );
    const tokenFile = join(dataDir, "token");
    writeFileSync(tokenFile, made.token, { mode: 0o600 });
    const { code, stdout, stderr } = await install("--rekey", "--token-file", tokenFile);
    rmSync(tokenFile);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/Re-keyed[\s\S]*online since/);
    expect(readFileSync(keyFile, "utf8")).not.toBe(before.key);
    expect(await property("MainPID")).not.toBe(before.pid);
    expect(databases()).toEqual(before.databases);
    await until("the server to be online", async () => {
      const server = await product.call<Server>("GET", `/servers/${serverId}`);
      return server.id === serverId && server.link === "online";
    });
  });

  it("repairs a program that was changed, a unit that was edited and a service that was stopped", async () => {
    await run("sh", "-c", `echo 'throw 1' >> ${PROGRAMS}/*/agent.mjs; systemctl disable --now dflow-agent`);
    await run("sed", "-i", "s/^NoNewPrivileges=yes/NoNewPrivileges=no/", "/etc/systemd/system/dflow-agent.service");
    const { code, stdout, stderr } = await install();
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("online since");
    expect([await property("NoNewPrivileges"), await property("UnitFileState")]).toEqual(["yes", "enabled"]);
    expect((await run("sh", "-c", `cd ${PROGRAMS}/* && sha256sum -c --quiet SHA256SUMS`)).code).toBe(0);
  });

  it("takes no archive that is not the one its SHA-256 names, and leaves what runs alone", async () => {
    const good = readFileSync(join(releaseDir, `${ARCHIVE}.sha256`), "utf8");
    const pid = await property("MainPID");
    writeFileSync(
      join(releaseDir, `${ARCHIVE}.sha256`),
      good.replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
    );
    try {
      const { code, stderr } = await install();
      expect([code, stderr]).toEqual([1, expect.stringContaining("nothing was installed")]);
      expect(await property("MainPID")).toBe(pid);
      expect((await run("sh", "-c", `ls -A ${PROGRAMS} | wc -l`)).stdout.trim()).toBe("1");
    } finally {
      writeFileSync(join(releaseDir, `${ARCHIVE}.sha256`), good);
    }
  });

  it("upgrades in place: the new agent takes the databases over, and the old one's programs are gone", async () => {
    const running = databases();
    const pid = await property("MainPID");
    const upgrade = [
      "set -e; work=$(mktemp -d)",
      `xz -dc ${ARCHIVE} | tar -xf - -C "$work"`,
      `echo '// a newer agent' >> "$work/agent.mjs"`,
      `(cd "$work" && sha256sum node agent.mjs dflow-agent.service LICENSE LICENSE.node > SHA256SUMS)`,
      `tar -C "$work" -cf - . | xz -0 > ${ARCHIVE}.new; mv ${ARCHIVE}.new ${ARCHIVE}; rm -rf "$work"`,
      `sha256sum ${ARCHIVE} > ${ARCHIVE}.sha256`,
    ].join("\n");
    const made = spawnSync("bash", ["-c", upgrade], { cwd: releaseDir, encoding: "utf8" });
    expect(made.status, made.stderr).toBe(0);
    const { code, stderr } = await install();
    expect(code, stderr).toBe(0);
    expect(await property("MainPID")).not.toBe(pid);
    expect((await run("sh", "-c", `tail -n 1 ${PROGRAMS}/*/agent.mjs; ls -A ${PROGRAMS} | wc -l`)).stdout).toBe(
      "// a newer agent\n1\n",
    );
    expect(databases()).toEqual(running);
    expect(await select1()).toBe("1");
  });

  it("--uninstall leaves nothing of ours but data, and the databases running", async () => {
    const running = databases();
    const { code, stdout, stderr } = await install("--uninstall");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("Databases keep running");
    const paths = (listing: string[]) => listing.map((line) => line.split(" ")[0]);
    expect(paths(await systemFiles())).toEqual(paths(untouched));
    expect((await run("systemctl", "list-unit-files", "dflow-agent.service")).stdout).toContain("0 unit files");
    expect(await commandLines()).not.toContain("agent.mjs");
    expect(databases()).toEqual(running);
    await until("unreachable", async () => (await product.call("GET", `/servers/${serverId}`)).link !== "online");
  });

  it("installed again, without a token, it finds the databases running and takes them over", async () => {
    const running = databases();
    const { code, stdout, stderr } = await install();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain('"installed"');
    const service = await until("running", async () => {
      const seen = await product.service(serviceId);
      return seen.state === "running" && seen;
    });
    expect(service.state).toBe("running");
    expect(databases()).toEqual(running);
    expect((await product.run(serviceId, "restart")).state).toBe("succeeded");
    expect(await select1()).toBe("1");
  });

  it("--uninstall --purge removes this agent's objects and its files, and another's not; only when agreed", async () => {
    const foreign = docker("volume", "create", "--label", "sh.dflow.agent=someone-else").trim();
    try {
      expect((await install("--uninstall", "--purge")).stderr).toContain("not agreed");
      expect(databases()).toHaveLength(1);
      const { code, stderr } = await install("--uninstall", "--purge", "--yes");
      expect([code, stderr]).toEqual([0, ""]);
      expect(objectsOf(serverId)).toEqual({ containers: [], volumes: [], networks: [] });
      expect(readdirSync(dataDir)).toEqual([]);
      expect(docker("volume", "ls", "-q", "--filter", "label=sh.dflow.agent=someone-else").trim()).toBe(foreign);
    } finally {
      docker("volume", "rm", foreign);
    }
  });

  it("works with wget and busybox's shell and a token from a file", async () => {
    const token = await newToken("second");
    writeFileSync(join(dataDir, "token"), `${token}\n`, { mode: 0o600 });
    const line = `wget -qO- ${product.url}/install.sh | busybox sh -s -- --data-dir ${dataDir} --token-file ${dataDir}/token`;
    const { code, stdout, stderr } = await run("sh", "-c", `mv $(command -v curl) /usr/bin/no-curl; ${line}`);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/"second" at .*: online since/);
    serverId = (JSON.parse(readFileSync(join(dataDir, "agent.json"), "utf8")) as { agentId: string }).agentId;
  });
});
