/** Makes the first admin, a workspace and an API key, and writes them to a file that only its owner can read. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { addApiKey } from "./api-keys/service.ts";
import { writeAudit } from "./audit/write-audit.ts";
import { createPeople, type PeopleDeps } from "./auth/people.ts";
import { replacePassword } from "./auth/replace-password.ts";
import type { Trx } from "./db/database.ts";
import { addMember, insertWorkspace, workspacesOf } from "./workspaces/store.ts";

const firstLogin = z.object({
  email: z.email(),
  password: z.string().min(24),
  apiKey: z.string().startsWith("dfk_"),
  workspaceId: z.string(),
});
export type FirstLogin = z.infer<typeof firstLogin>;

const API_KEY_DAYS = 366;

/**
 * Safe to run again: with a valid file in place nothing changes. Without the file (it was lost, or a first run was killed
 * before it wrote it) the admin of that address gets a new password and a new key.
 */
export async function bootstrap(deps: PeopleDeps, email: string, outFile: string): Promise<FirstLogin> {
  const present = readPresent(outFile);
  if (present !== undefined) return present;

  const people = createPeople(deps);
  const password = deps.random.bytes(21).toString("base64url");
  const passwordHash = await people.hashPassword(password);
  const address = email.toLowerCase();
  const made = await deps.db.transaction().execute(async (trx) => {
    const known = await trx.selectFrom("user").select("id").where("email", "=", address).executeTakeFirst();
    const userId = known?.id ?? (await people.add(trx, { email: address, name: "Admin", passwordHash }));
    if (known !== undefined) await replacePassword(trx, known.id, passwordHash);
    const workspaceId = await ownWorkspace(deps, trx, userId);
    const request = { name: "First key", role: "admin", expiresInDays: API_KEY_DAYS } as const;
    const { key } = await addApiKey(deps, trx, { ...request, workspaceId, actor: { kind: "system" } });
    await writeAudit(trx, deps, {
      workspaceId,
      actor: { kind: "system" },
      action: "bootstrap",
      target: { kind: "user", id: userId },
      details: { email: address, renewed: known !== undefined },
    });
    return { workspaceId, apiKey: key };
  });

  const login: FirstLogin = { email: address, password, ...made };
  const draft = `${outFile}.${deps.random.id()}`;
  writeFileSync(draft, `${JSON.stringify(login, null, 2)}\n`, { mode: 0o600, flag: "wx", flush: true });
  renameSync(draft, outFile);
  return login;
}

function readPresent(file: string): FirstLogin | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return firstLogin.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    // Without the parser's words: they quote the file, which may hold a password.
    throw new Error(`${file} is there and is not a login that bootstrap wrote; move it away`, { cause: error });
  }
}

async function ownWorkspace({ random, clock }: PeopleDeps, trx: Trx, userId: string): Promise<string> {
  const owned = (await workspacesOf(trx, userId)).find((workspace) => workspace.role === "owner");
  if (owned !== undefined) return owned.id;
  const id = random.id();
  const now = clock.now();
  await insertWorkspace(trx, { id, name: "Main", created_at: now });
  await addMember(trx, { workspace_id: id, user_id: userId, role: "owner", created_at: now });
  return id;
}
