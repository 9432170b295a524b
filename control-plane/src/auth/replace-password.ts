/** A new password for someone who is known, and the end of every session that the old one began. */
import type { Trx } from "../db/database.ts";

export async function replacePassword(trx: Trx, userId: string, passwordHash: string): Promise<void> {
  await trx.updateTable("account").set({ password: passwordHash }).where("userId", "=", userId).execute();
  await trx.deleteFrom("session").where("userId", "=", userId).execute();
}
