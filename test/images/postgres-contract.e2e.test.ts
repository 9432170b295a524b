// What dFlow relies on in a postgres image, asserted on every image that tests use, official or stand-in.
import { chmod, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { createSandbox, docker, tryDocker } from "../support/docker-engine.ts";
import { until } from "../support/until.ts";

const initLine = "PostgreSQL init process complete; ready for start up.";
const tools =
  "postgres initdb psql pg_isready pg_dump pg_dumpall pg_restore pg_basebackup pg_receivewal pg_controldata createdb " +
  "vacuumdb gzip xz zstd";

interface Candidate {
  version: string;
  image?: string;
  standIn: boolean;
  /** Why there is no image, when there is none. */
  reason: string;
}

for (const candidate of await candidates()) {
  const { version, image, standIn, reason } = candidate;
  if (image === undefined) it.skip(`postgres ${version}: ${reason}`, () => {});
  else
    describe.concurrent(`postgres ${version}, ${standIn ? "local stand-in" : "official"} ${image}`, () =>
      contract(candidate, image));
}

function contract({ version, standIn }: Candidate, image: string): void {
  const major = Number(version);
  const volumePath = major >= 18 ? "/var/lib/postgresql" : "/var/lib/postgresql/data";
  const pgdata = major >= 18 ? `/var/lib/postgresql/${version}/docker` : "/var/lib/postgresql/data";
  const sandbox = createSandbox();
  afterAll(() => sandbox.remove(), 60_000);

  const start = (options: string[], command: string[] = []) => sandbox.run([...options, image, ...command]);
  const withPassword = (password = "Secret1") => ["--env", `POSTGRES_PASSWORD=${password}`];
  const inside = (id: string, ...command: string[]) => tryDocker(["exec", id, ...command]);
  const logs = async (id: string) => {
    const { stdout, stderr } = await tryDocker(["logs", id]);
    return stdout + stderr;
  };
  const acceptsOn = async (id: string, ...where: string[]) =>
    (await inside(id, "pg_isready", "-q", "-U", "postgres", "-d", "postgres", ...where)).code === 0;
  const ready = (id: string) => until(`${image} accepts connections`, () => acceptsOn(id, "-h", "127.0.0.1"));
  const exitCode = async (id: string) => Number(await docker(["wait", id]));
  const comm = async (id: string) => (await inside(id, "cat", "/proc/1/comm")).stdout.trim();
  const sql = async (id: string, statement: string, database = "postgres") =>
    docker(["exec", id, "psql", "-U", "postgres", "-d", database, "-X", "-A", "-t", "-c", statement]);
  const initFolder = async (files: Record<string, string | Uint8Array>) => {
    const folder = await sandbox.folder();
    await chmod(folder, 0o755);
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content, { mode: 0o644 });
    return folder;
  };
  const mountInit = (folder: string) => ["--volume", `${folder}:/docker-entrypoint-initdb.d:ro`];
  const secretFolder = async (content: string) => {
    const folder = await sandbox.folder();
    await writeFile(join(folder, "password"), content, { mode: 0o600 });
    return {
      folder,
      mount: ["--volume", `${folder}:/run/secrets:ro`, "--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password"],
    };
  };
  /** A login over the network, from a container beside the database, as an application does it. */
  const login = (network: string, host: string, password: string) =>
    tryDocker(
      [
        ...["run", "--rm", "--network", network, "--env", "PGPASSWORD", "--entrypoint", "psql", image],
        ...["-h", host, "-U", "postgres", "-w", "-X", "-A", "-t", "-c", "select 'in'"],
      ],
      { env: { PGPASSWORD: password } },
    );

  it("declares its volume, port, stop signal and data folder, and starts as root", async () => {
    const config = JSON.parse(await docker(["image", "inspect", "--format", "{{json .Config}}", image]));
    expect(Object.keys(config.Volumes)).toEqual([volumePath]);
    expect(Object.keys(config.ExposedPorts)).toEqual(["5432/tcp"]);
    expect(config.StopSignal).toBe("SIGINT");
    expect(config.User ?? "").toBe("");
    expect(config.Env).toContain(`PGDATA=${pgdata}`);
    expect(config.Env).toContain(`PG_MAJOR=${version}`);
  });

  if (standIn)
    it("says what it is: a stand-in, under a name of its own, with the version that it has", async () => {
      const label = await docker([
        "image",
        "inspect",
        "--format",
        '{{index .Config.Labels "sh.dflow.stand-in"}}',
        image,
      ]);
      const answer = await docker(["run", "--rm", image, "postgres", "--version"]);
      const full = /\(PostgreSQL\) (\S+)/.exec(answer)?.[1] ?? "";
      expect(full.split(".")[0]).toBe(version);
      expect(label.startsWith(full)).toBe(true);
      expect(image.startsWith(`dflow-stand-in/postgres:${full}-`)).toBe(true);
    });

  it("has the tools that backups, probes and scripts call", async () => {
    const found = await docker([
      "run",
      "--rm",
      image,
      "sh",
      "-c",
      `for t in ${tools}; do command -v $t >/dev/null || echo $t; done`,
    ]);
    expect(found).toBe("");
  });

  it("listens on the socket alone until init is over, and only then becomes PID 1", async () => {
    const folder = await initFolder({ "01-slow.sql": "create table made (n int); select pg_sleep(4);" });
    const id = await start([...withPassword(), ...mountInit(folder)]);
    await until("the socket answers", () => acceptsOn(id));
    await until("the init file runs", async () => (await sql(id, "select to_regclass('made') is not null")) === "t");

    expect(await acceptsOn(id, "-h", "127.0.0.1")).toBe(false);
    expect((await inside(id, "sh", "-c", "pg_isready -q -h $(hostname -i)")).code).toBe(2);
    expect(await comm(id)).not.toBe("postgres");
    expect(await logs(id)).not.toContain(initLine);

    await ready(id);
    expect(await logs(id)).toContain(initLine);
    expect(await comm(id)).toBe("postgres");
    expect(await sql(id, "select count(*) from made")).toBe("0");
  });

  it("creates the named user as superuser and the named database, in UTF-8 and en_US", async () => {
    const id = await start([...withPassword(), "--env", "POSTGRES_USER=ada", "--env", "POSTGRES_DB=shop"]);
    await ready(id);
    const question =
      "select rolsuper, datname, pg_encoding_to_char(encoding), datcollate from pg_roles, pg_database where rolname = 'ada' and datname = 'shop'";
    expect(await docker(["exec", id, "psql", "-U", "ada", "-d", "shop", "-XAtc", question])).toBe(
      "t|shop|UTF8|en_US.utf8",
    );
  });

  it("takes user, database and initdb arguments from files", async () => {
    const { folder, mount } = await secretFolder("Secret1\n");
    await writeFile(join(folder, "user"), "ada\n");
    await writeFile(join(folder, "database"), "shop\n");
    await writeFile(join(folder, "arguments"), "--wal-segsize=32\n");
    const files = { USER: "user", DB: "database", INITDB_ARGS: "arguments" };
    const env = Object.entries(files).flatMap(([name, file]) => [
      "--env",
      `POSTGRES_${name}_FILE=/run/secrets/${file}`,
    ]);
    const id = await start([...mount, ...env]);
    await ready(id);
    expect(await docker(["exec", id, "psql", "-U", "ada", "-d", "shop", "-XAtc", "show wal_segment_size"])).toBe(
      "32MB",
    );
  });

  it("runs init files in name order, by kind, as the postgres user, and ignores the others", async () => {
    const folder = await initFolder({
      "1.sql": "create table seen (n int, what text);",
      "2.sql.gz": gzipSync("insert into seen values (2, 'gz');"),
      "3.sh": `psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "insert into seen values (3, 'sourced ' || '$(id -un)')"\n`,
      "4.sh": `#!/bin/sh\npsql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "insert into seen values (4, 'run ' || '$(id -u)')"\n`,
      "5.txt": "not for anybody",
      "6.sql": "insert into seen values (6, current_setting('cluster_name'));",
    });
    await chmod(join(folder, "4.sh"), 0o755);
    const id = await start(
      [...withPassword(), "--env", "POSTGRES_DB=shop", ...mountInit(folder)],
      ["-c", "cluster_name=mine"],
    );
    await ready(id);
    // The last line also shows that the command line's settings hold for the server of the init phase.
    expect(await sql(id, "select string_agg(n || ' ' || what, ', ' order by n) from seen", "shop")).toBe(
      "2 gz, 3 sourced postgres, 4 run 999, 6 mine",
    );
  });

  it("gives up when an init file fails, and starts without init the next time", async () => {
    const folder = await initFolder({
      "1.sql": "create table first (n int); select nonsense;",
      "2.sql": "create table second (n int);",
    });
    const id = await start([...withPassword(), ...mountInit(folder)]);
    expect(await exitCode(id)).not.toBe(0);
    expect(await logs(id)).not.toContain(initLine);

    await docker(["start", id]);
    await ready(id);
    expect(await sql(id, "select to_regclass('first') is not null, to_regclass('second') is null")).toBe("t|t");
    expect(await logs(id)).not.toContain(initLine);
  });

  it("starts happily from a volume whose init was killed, without the user's database", async () => {
    const volume = await sandbox.volume();
    const options = [...withPassword(), "--env", "POSTGRES_DB=shop", "--volume", `${volume}:${volumePath}`];
    // The delay holds every session back, so that the kill falls between PG_VERSION and CREATE DATABASE.
    const killed = await start(options, ["-c", "pre_auth_delay=5"]);
    await until("the temporary server is up", async () => (await logs(killed)).includes("ready to accept connections"));
    await docker(["kill", "--signal", "KILL", killed]);

    const id = await start(options);
    await ready(id);
    expect(await logs(id)).not.toContain(initLine);
    expect(await sql(id, "select count(*) from pg_database where datname = 'shop'")).toBe("0");
  });

  it.each(["PASSWORD", "USER", "DB", "INITDB_ARGS"])("refuses POSTGRES_%s together with its file", async (name) => {
    const id = await start([
      ...withPassword(),
      "--env",
      `POSTGRES_${name}=x1`,
      "--env",
      `POSTGRES_${name}_FILE=/etc/hostname`,
    ]);
    expect(await exitCode(id)).toBe(1);
    expect(await logs(id)).toMatch(new RegExp(`POSTGRES_${name}\\b[^]*POSTGRES_${name}_FILE`));
  });

  it("needs a password", async () => {
    const id = await start([]);
    expect(await exitCode(id)).toBe(1);
    expect(await logs(id)).toContain("POSTGRES_PASSWORD");
  });

  it("reads the password file at every start, and does not start without it", async () => {
    const { folder, mount } = await secretFolder("Secret1\n");
    const id = await start(mount);
    await ready(id);
    await docker(["stop", id]);
    await docker(["start", id]);
    await ready(id);
    await docker(["stop", id]);
    await unlink(join(folder, "password"));
    await docker(["start", id]);
    expect(await exitCode(id)).not.toBe(0);
  });

  it("keeps a password from a file out of inspect and the process list, though not out of its own environment", async () => {
    const { mount } = await secretFolder("VerySecret42\n");
    const id = await start(mount);
    await ready(id);
    expect(await docker(["inspect", id])).not.toContain("VerySecret42");
    expect(await docker(["top", id, "-eo", "pid,args"])).not.toContain("VerySecret42");
    expect(await logs(id)).not.toContain("VerySecret42");
    // A superuser of the database can read this; the guides must not promise otherwise.
    expect(await docker(["exec", "--user", "postgres", id, "cat", "/proc/1/environ"])).toContain("VerySecret42");
  });

  it("asks the network for a password, and loopback for none", async () => {
    const network = await sandbox.network();
    const { mount } = await secretFolder("Right1\n");
    const id = await start([...mount, "--network", network]);
    await ready(id);
    const host = id.slice(0, 12);
    expect((await login(network, host, "Right1")).stdout.trim()).toBe("in");
    const refused = await login(network, host, "Wrong1");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("password authentication failed");
    expect((await inside(id, "psql", "-h", "127.0.0.1", "-U", "postgres", "-w", "-c", "select 1")).code).toBe(0);
    expect(
      await sql(
        id,
        "select array_to_string(array[type, database[1], user_name[1], address, auth_method], ' ') from pg_hba_file_rules order by line_number desc limit 1",
      ),
    ).toBe("host all all all scram-sha-256");
  });

  it("lets everyone in with the trust method, and needs no password then", async () => {
    const network = await sandbox.network();
    const id = await start(["--env", "POSTGRES_HOST_AUTH_METHOD=trust", "--network", network]);
    await ready(id);
    expect((await login(network, id.slice(0, 12), "anything")).stdout.trim()).toBe("in");
  });

  it("keeps its data in the volume across containers, and ignores another password from then on", async () => {
    const network = await sandbox.network();
    const mount = ["--network", network, "--volume", `${await sandbox.volume()}:${volumePath}`];
    const first = await start([...withPassword("Before1"), ...mount]);
    await ready(first);
    await sql(first, "create table kept as select 7 as n");
    await docker(["stop", first]);
    await docker(["rm", "--volumes", first]);

    const second = await start([...withPassword("After1"), ...mount]);
    await ready(second);
    expect(await sql(second, "select n from kept")).toBe("7");
    const host = second.slice(0, 12);
    expect((await login(network, host, "Before1")).code).toBe(0);
    expect((await login(network, host, "After1")).code).toBe(2);
  });

  it("runs as 999:999, which owns the data folder alone", async () => {
    const id = await start(withPassword());
    await ready(id);
    expect(await docker(["exec", id, "stat", "-c", "%u:%g", "/proc/1"])).toBe("999:999");
    expect(await docker(["exec", id, "stat", "-c", "%u:%g %a", pgdata])).toBe("999:999 700");
    expect(await docker(["exec", id, "find", pgdata, "!", "-uid", "999"])).toBe("");
    expect(await docker(["exec", id, "cat", `${pgdata}/PG_VERSION`])).toBe(version);
  });

  it("does with five capabilities and no new privileges", async () => {
    const capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID"].flatMap((name) => ["--cap-add", name]);
    const { mount } = await secretFolder("Secret1\n");
    const id = await start([...mount, "--cap-drop", "ALL", ...capabilities, "--security-opt", "no-new-privileges"]);
    await ready(id);
  });

  it("does with no capability at all when it starts as 999 on a volume of its own", async () => {
    const id = await start([
      ...withPassword(),
      "--user",
      "999:999",
      "--cap-drop",
      "ALL",
      "--volume",
      `${await sandbox.volume()}:${volumePath}`,
    ]);
    await ready(id);
    expect(await comm(id)).toBe("postgres");
  });

  it("stops cleanly and fast on its stop signal, with a session open", async () => {
    const id = await start(withPassword());
    await ready(id);
    await docker(["exec", "--detach", id, "psql", "-U", "postgres", "-c", "select pg_sleep(60)"]);
    await until(
      "the session is there",
      async () => (await sql(id, "select count(*) from pg_stat_activity where query like 'select pg_sleep%'")) === "1",
    );

    const before = performance.now();
    await docker(["stop", "--time", "120", id]);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(await docker(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("0");

    await docker(["start", id]);
    await ready(id);
    expect(await logs(id)).toContain("received fast shutdown request");
    expect(await logs(id)).not.toContain("not properly shut down");
  });

  it("runs another command as it is", async () => {
    expect(await docker(["run", "--rm", image, "sh", "-c", "id -u; cat /proc/1/comm"])).toBe("0\nsh");
  });

  it("keeps its data where PGDATA says", async () => {
    const mount = [
      "--env",
      "PGDATA=/var/lib/postgresql/elsewhere/docker",
      "--volume",
      `${await sandbox.volume()}:/var/lib/postgresql`,
    ];
    const first = await start([...withPassword(), ...mount]);
    await ready(first);
    await sql(first, "create table kept as select 7 as n");
    await docker(["stop", first]);
    const second = await start([...withPassword(), ...mount]);
    await ready(second);
    expect(await sql(second, "select n from kept")).toBe("7");
  });

  if (major >= 18)
    it("refuses a volume at the place that older versions used", async () => {
      const id = await start([...withPassword(), "--volume", `${await sandbox.volume()}:/var/lib/postgresql/data`]);
      expect(await exitCode(id)).toBe(1);
      expect(await logs(id)).toContain("unused mount/volume");
    });

  if (major >= 18)
    it.each(["", "/data", "/17/docker"])(
      "refuses to pass over an older database in /var/lib/postgresql%s",
      async (place) => {
        const volume = await sandbox.volume();
        const folder = `/old${place}`;
        await docker([
          "run",
          "--rm",
          "--volume",
          `${volume}:/old`,
          "--entrypoint",
          "sh",
          image,
          "-c",
          `mkdir -p ${folder} && echo 17 >${folder}/PG_VERSION`,
        ]);
        const id = await start([...withPassword(), "--volume", `${volume}:/var/lib/postgresql`]);
        expect(await exitCode(id)).toBe(1);
        expect(await logs(id)).toContain(`/var/lib/postgresql${place}`);
      },
    );

  if (major < 18)
    it("loses its data with a volume one level too high", async () => {
      const mount = ["--volume", `${await sandbox.volume()}:/var/lib/postgresql`];
      const first = await start([...withPassword(), ...mount]);
      await ready(first);
      await sql(first, "create table lost (n int)");
      await docker(["stop", first]);
      await docker(["rm", "--volumes", first]);
      const second = await start([...withPassword(), ...mount]);
      await ready(second);
      expect(await sql(second, "select to_regclass('lost') is null")).toBe("t");
    });
}

/** Every version of test/images/postgres/sources, with the image that there is for it: a stand-in or the official one. */
async function candidates(): Promise<Candidate[]> {
  const path = process.env.DFLOW_TEST_IMAGE_MAP;
  const map: Record<string, { image: string; standIn?: boolean } | undefined> =
    path === undefined ? {} : (JSON.parse(await readFile(path, "utf8")).postgres ?? {});
  const lines = (await readFile(join(import.meta.dirname, "postgres/sources"), "utf8")).split("\n");
  const found: Candidate[] = [];
  for (const line of lines) {
    const [version = "", official = "", suite = "", ...rest] = line.trim().split(/\s+/);
    if (!/^\d+$/.test(version)) continue;
    const mapped = map[version];
    const pulled = (await tryDocker(["image", "inspect", official])).code === 0;
    const why = path === undefined ? "DFLOW_TEST_IMAGE_MAP names no image map" : "not in the image map";
    found.push({
      version,
      image: mapped?.image ?? (pulled ? official : undefined),
      standIn: mapped?.standIn === true,
      reason: suite === "none" ? rest.join(" ") : why,
    });
  }
  return found;
}
