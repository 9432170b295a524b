/** Sessions by the hash of their token: those that there are go on, so nobody has to sign in again. */
import { createHash } from "node:crypto";
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export const hashSessions: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { rows } = await sql<{ id: string; token: string }>`select "id", "token" from "session"`.execute(db);
    for (const { id, token } of rows) {
      const hash = createHash("sha256").update(token).digest("hex");
      await sql`update "session" set "token" = ${hash} where "id" = ${id}`.execute(db);
    }
  },
};
