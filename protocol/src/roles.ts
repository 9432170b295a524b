/** Roles of a workspace and the rights each one gives. Rights are checked in one place: the control plane's guard. */
import { z } from "zod";

export const roleSchema = z.enum(["owner", "admin", "developer", "viewer"]);
export type Role = z.infer<typeof roleSchema>;

export const RIGHTS = [
  "read",
  "logs.read",
  "services.write",
  "services.operate",
  "credentials.read",
  "applications.write",
  "servers.write",
  "members.write",
  "keys.write",
] as const;
export type Right = (typeof RIGHTS)[number];

const VIEWER: readonly Right[] = ["read", "logs.read"];
const DEVELOPER: readonly Right[] = [
  ...VIEWER,
  "services.write",
  "services.operate",
  "credentials.read",
  "applications.write",
];
const ADMIN: readonly Right[] = [...DEVELOPER, "servers.write", "members.write", "keys.write"];

const RIGHTS_OF: Record<Role, readonly Right[]> = { owner: ADMIN, admin: ADMIN, developer: DEVELOPER, viewer: VIEWER };

export function hasRight(role: Role, right: Right): boolean {
  return RIGHTS_OF[role].includes(right);
}

/** The sentence a person reads when their role does not reach. */
export function missingRightSentence(role: Role, action: string): string {
  return `Your role here is ${role}, which cannot ${action}. Ask an admin of this workspace.`;
}

/** Who may give a role: an owner any, an admin any but owner. */
export function canGrant(granter: Role, granted: Role): boolean {
  if (granter === "owner") return true;
  return granter === "admin" && granted !== "owner";
}
