/** A table that somebody has for himself, so that a check of its database waits until it is let go. */
import { clientImage, docker, psql, tryDocker } from "./product.ts";
import { until } from "./until.ts";

export interface HeldTable {
  /** Comes back when the table is locked. */
  hold(): Promise<void>;
  /** Until a check waits for the table. */
  waitedFor(): Promise<void>;
  /** Does nothing when it is not held. */
  release(): Promise<void>;
}

/** `uri` is that of the database; the table must be there when it is held. */
export function createHeldTable(environmentId: string, table: string, uri: () => Promise<string>): HeldTable {
  const clients: string[] = [];
  const sql = async (text: string) => {
    const { code, output } = await psql(environmentId, await uri(), text);
    if (code !== 0) throw new Error(output);
    return output.trim();
  };
  return {
    async hold() {
      const id = docker(
        ...["run", "-d", "--rm", "--network", `dflow-env-${environmentId}`, "--entrypoint", "psql"],
        ...[clientImage(), "-X", "-w", "-c"],
        ...[`begin; lock table ${table} in access exclusive mode; select pg_sleep(300)`, await uri()],
      );
      clients.push(id.trim());
      await until(
        "the lock",
        async () => (await sql("select count(*) from pg_locks where mode like 'AccessEx%'")) !== "0",
      );
    },
    async waitedFor() {
      await until("it waits", async () => (await sql("select count(*) from pg_locks where not granted")) !== "0");
    },
    async release() {
      if (clients.length === 0) return;
      for (const id of clients.splice(0)) await tryDocker(["rm", "-f", id]);
      // One that sleeps does not notice that its client has gone.
      await sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()",
      );
    },
  };
}
