/** Makes an API key at the host, without a sign-in. */
import { AppError, createApiKeySchema } from "@dflow/protocol";
import { addApiKey } from "../api-keys/service.ts";
import type { Trx } from "../db/database.ts";
import type { Deps } from "../deps.ts";

export interface KeyRequest {
  /** Its id or its name. */
  workspace: string;
  name: string;
  role: string;
  expiresInDays: number | undefined;
}

/** `keep` gets the key's text before the row becomes final; when it throws, there is no key. */
export async function createKey(
  deps: Pick<Deps, "db" | "clock" | "random">,
  request: KeyRequest,
  keep: (key: string) => void,
): Promise<{ workspaceId: string; workspaceName: string; expiresAt: string }> {
  // The API's own bounds: a key from here is a key like any other.
  const parsed = createApiKeySchema.safeParse(request);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AppError("invalid_input", `${issue?.path.join(".") ?? "key"}: ${issue?.message ?? "not valid"}`);
  }
  return deps.db.transaction().execute(async (trx) => {
    const workspace = await findWorkspace(trx, request.workspace);
    const key = await addApiKey(deps, trx, {
      ...parsed.data,
      workspaceId: workspace.id,
      actor: { kind: "system" },
    });
    keep(key.key);
    return { workspaceId: workspace.id, workspaceName: workspace.name, expiresAt: key.expiresAt };
  });
}

async function findWorkspace(trx: Trx, wanted: string): Promise<{ id: string; name: string }> {
  const all = await trx.selectFrom("workspace").select(["id", "name"]).orderBy("id").execute();
  const found = all.filter((workspace) => workspace.id === wanted || workspace.name === wanted);
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  const list = all.map((workspace) => `${workspace.name} (${workspace.id})`).join(", ");
  throw new AppError(
    "not_found",
    second === undefined ? `There is no workspace ${wanted}.` : `There are ${found.length} workspaces named ${wanted}.`,
    { hint: all.length === 0 ? "There is no workspace at all yet." : `Name one of these, by its id: ${list}` },
  );
}
