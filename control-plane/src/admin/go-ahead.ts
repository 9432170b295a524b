/** Makes a restored database go on ahead of what agents remember of the time after its backup. */
import { writeAudit } from "../audit/write-audit.ts";
import { createDatabase } from "../db/database.ts";
import type { Platform } from "../platform.ts";

/** More actions than anybody takes on one service between a backup and its restore. */
export const GENERATIONS_AHEAD = 10_000;

/**
 * An agent refuses every command that is not newer than the newest it took (`stale_generation`). A service that was worked
 * on after the backup would refuse that many actions in a row, so each one's next command is far ahead. Open operations keep
 * their generation: one that the agent took it knows by its id, and one that it never took must not run today.
 */
export async function goAhead(
  platform: Pick<Platform, "clock" | "random">,
  file: string,
  details: { takenAt: string; version: string },
): Promise<void> {
  const db = createDatabase(file);
  try {
    await db.transaction().execute(async (trx) => {
      await trx
        .updateTable("service")
        .set((row) => ({ generation: row("generation", "+", GENERATIONS_AHEAD) }))
        .execute();
      const action = "control_plane.restore";
      await writeAudit(trx, platform, { workspaceId: null, actor: { kind: "system" }, action, target: null, details });
    });
  } finally {
    await db.destroy();
  }
}
