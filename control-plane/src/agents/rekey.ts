/** A known server gets a new key: what ends a quarantine. Everything else of it stays: id, services, session numbers. */
import { AppError } from "@dflow/protocol";
import { sql } from "kysely";
import type { Trx } from "../db/database.ts";
import type { SelfSigned } from "./signatures.ts";

export interface Rekeyed {
  id: string;
  name: string;
  revision: number;
  /** Thumbprint of the key that is good for nothing from now on. */
  replacedKid: string;
}

/**
 * Puts the key in the place of the server's. The server is the one that the token was made for (`serverId`) and that the
 * machine says to be (`claimed`): a token that lands on another machine changes nothing.
 */
export async function rekey(
  trx: Trx,
  serverId: string,
  claimed: string | undefined,
  { kid, jwk }: SelfSigned,
): Promise<Rekeyed | AppError> {
  const server = await trx
    .selectFrom("server")
    .select(["id", "name", "agent_kid"])
    .where("id", "=", serverId)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  if (server === undefined) return new AppError("token_invalid", "The server that this token re-keys was removed.");
  if (claimed !== serverId) {
    return new AppError("forbidden", `This token re-keys server “${server.name}”, and this machine is not that one.`, {
      hint: "Use it on the machine to keep, with the agent's data folder of that server.",
    });
  }
  const known = await trx.selectFrom("server").select("id").where("agent_kid", "=", kid).executeTakeFirst();
  if (known !== undefined) {
    return new AppError("forbidden", "A re-key needs a key that was never used.", {
      hint: "Remove key.new.json in the agent's data folder and run this again.",
    });
  }
  const { revision } = await trx
    .updateTable("server")
    .set({
      agent_kid: kid,
      agent_jwk: JSON.stringify(jwk),
      epoch: 0,
      pending_epoch: null,
      quarantined_at: null,
      revision: sql<number>`revision + 1`,
    })
    .where("id", "=", serverId)
    .returning("revision")
    .executeTakeFirstOrThrow();
  return { id: server.id, name: server.name, revision, replacedKid: server.agent_kid };
}
