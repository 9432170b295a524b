/** Who is asking: a person with a session, or a program with an API key. */
import type { Role } from "@dflow/protocol";

export type Principal =
  | { kind: "user"; id: string; name: string; email: string; sessionId: string; sessionEndsAt: number }
  | { kind: "api_key"; id: string; name: string; workspaceId: string; role: Role; endsAt: number };

/** The same, as operations and the audit trail name it. */
export interface Actor {
  kind: "user" | "api_key";
  id: string;
  name: string;
  address: string;
}

export function actorOf(principal: Principal, address: string): Actor {
  return { kind: principal.kind, id: principal.id, name: principal.name, address };
}
