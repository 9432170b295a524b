/** Gives a user a new password and ends their sessions: for who is locked out, by who is at the host. */
import { AppError, PASSWORD_LENGTH } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import { createPeople, type PeopleDeps } from "../auth/people.ts";
import { replacePassword } from "../auth/replace-password.ts";

/** Why this cannot be a password, or undefined. The same bounds as at the sign-in. */
export function passwordProblem(password: string): string | undefined {
  if (password.length < PASSWORD_LENGTH.min) return `A password has at least ${PASSWORD_LENGTH.min} characters.`;
  if (password.length > PASSWORD_LENGTH.max) return `A password has at most ${PASSWORD_LENGTH.max} characters.`;
  return undefined;
}

/** `keep` is called before the change becomes final; when it throws, the old password still holds. */
export async function resetPassword(
  deps: PeopleDeps,
  { email, password }: { email: string; password: string },
  keep: () => void = () => {},
): Promise<{ email: string; endedSessions: number }> {
  const problem = passwordProblem(password);
  if (problem !== undefined) throw new AppError("invalid_input", problem);
  const address = email.toLowerCase();
  const passwordHash = await createPeople(deps).hashPassword(password);
  return deps.db.transaction().execute(async (trx) => {
    const user = await trx.selectFrom("user").select("id").where("email", "=", address).executeTakeFirst();
    if (user === undefined) {
      throw new AppError("not_found", `There is no user with the address ${address}.`, {
        hint: "Addresses are those that people sign in with; Settings → Members shows them.",
      });
    }
    const sessions = await trx.selectFrom("session").select("id").where("userId", "=", user.id).execute();
    await replacePassword(trx, user.id, passwordHash);
    await writeAudit(trx, deps, {
      workspaceId: null,
      actor: { kind: "system" },
      action: "user.reset_password",
      target: { kind: "user", id: user.id },
      details: { email: address, endedSessions: sessions.length },
    });
    keep();
    return { email: address, endedSessions: sessions.length };
  });
}
