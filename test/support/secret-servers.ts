/** Scenes in which dFlow comes onto a machine: by the installer's line in a shell, and by quickstart. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./docker-engine.ts";
import { dockerPlaces, filesUnder } from "./evidence.ts";
import { docker, freePort } from "./product.ts";
import {
  act,
  credentialsOf,
  fieldOf,
  knowKeys,
  knowToken,
  makeDatabase,
  makeEnvironment,
  ROOT,
  type Run,
} from "./secret-known.ts";
import type { SystemdMachine } from "./systemd-machine.ts";

/** The line in an interactive shell, the token typed at its question; then a database on that server. */
export async function installedByALine(run: Run, machine: SystemdMachine, dataDir: string): Promise<void> {
  const { product, http, places, undo } = run;
  const { apiKey: key, workspaceId } = product.login;
  const made = await http.send("POST", `/api/v1/workspaces/${workspaceId}/enrolment-tokens`, {
    key,
    body: { serverName: "installed" },
  });
  const token = String(made.json.token);
  knowToken(run, token);
  writeFileSync(join(dataDir, "config.json"), JSON.stringify({ logLevel: "debug" }));
  // No journal starts in this container, so what the service hands to it goes to a file instead.
  const unit = "/etc/systemd/system/dflow-agent.service.d";
  const journal =
    "[Service]\\nStandardOutput=append:/var/log/agent.journal\\nStandardError=append:/var/log/agent.journal\\n";
  await machine.run("sh", "-c", `mkdir -p ${unit}; printf '${journal}' >${unit}/journal.conf`);
  const line = `curl -fsSL ${product.url}/install.sh | sh -s -- --data-dir ${dataDir}`;
  const { screen } = await machine.atTerminal("bash -i", [
    { question: "# ", answer: line },
    { question: "Token from", answer: token },
    { question: "online since", answer: "history -w; exit" },
  ]);
  if (!screen.includes("online since")) throw new Error(`not installed: ${screen}`);
  places.push({ name: "terminal of the install", bytes: Buffer.from(screen) });
  const serverId = fieldOf(join(dataDir, "agent.json"), "agentId");
  undo.push(() => removeObjectsOf(serverId));
  const serviceId = await makeDatabase(run, await makeEnvironment(run, "Installed", serverId), "there-db");
  await act(run, serviceId, "deploy", "succeeded");
  await credentialsOf(run, serviceId);
  const hostPid = docker("inspect", "-f", "{{.State.Pid}}", machine.name).trim();
  for (const folder of ["etc", "root", "usr/local/lib/dflow-agent", "var/log", "tmp", "run"]) {
    const skip = (path: string) => path.includes("/run/docker");
    places.push(...filesUnder(`/proc/${hostPid}/root/${folder}`, { as: `installed server: /${folder}`, skip }));
  }
  places.push({
    name: "unit as systemd knows it",
    bytes: Buffer.from((await machine.run("systemctl", "show", "dflow-agent")).stdout),
  });
  places.push({ name: "docker inspect of the server", bytes: Buffer.from(docker("inspect", machine.name)) });
}

export async function byQuickstart(run: Run, home: string): Promise<void> {
  const { places, know, undo } = run;
  const quickstart = async (...flags: string[]) => {
    const result = await runProgram("bash", ["scripts/quickstart", ...flags], {
      cwd: ROOT,
      env: { DFLOW_HOME: home },
      deadlineMs: 300_000,
    });
    if (result.code !== 0) throw new Error(`quickstart ${flags.join(" ")}: ${result.code}: ${result.stderr}`);
    return result;
  };
  undo.push(async () => {
    await quickstart("--reset");
  });
  const { stdout, stderr } = await quickstart("--demo", "--json", "--port", String(await freePort()));
  places.push({ name: "terminal of quickstart", bytes: Buffer.from(stdout + stderr) });
  const { password, apiKey, serverId } = JSON.parse(stdout) as Record<string, string>;
  know("password", String(password));
  know("API key", String(apiKey));
  const [secretFile = ""] = filesUnder(join(home, "agent/services"), { as: "" })
    .filter(({ name }) => name.endsWith("postgres_password"))
    .map(({ bytes }) => bytes.toString());
  know("database password", secretFile);
  knowKeys(run, join(home, "control-plane/keys"), join(home, "agent/key.json"));
  places.push(...(await dockerPlaces(String(serverId))));
}

function removeObjectsOf(agentId: string): void {
  const filter = ["--filter", `label=sh.dflow.agent=${agentId}`];
  const ids = (...args: string[]) =>
    docker(...args, ...filter)
      .split("\n")
      .filter(Boolean);
  for (const id of ids("ps", "-aq")) docker("rm", "-f", "-v", id);
  for (const id of ids("volume", "ls", "-q")) docker("volume", "rm", "-f", id);
  for (const id of ids("network", "ls", "-q")) docker("network", "rm", id);
}
