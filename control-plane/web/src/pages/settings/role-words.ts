/** What each role is called and may do, in the order of what it may. */
import type { Role } from "@dflow/protocol";

export const ROLES: readonly { role: Role; label: string; can: string }[] = [
  { role: "viewer", label: "Viewer", can: "Sees everything but credentials, reads logs" },
  { role: "developer", label: "Developer", can: "Also creates, deploys, deletes, and sees credentials" },
  { role: "admin", label: "Admin", can: "Also adds servers and invites people" },
  { role: "owner", label: "Owner", can: "Also makes other owners" },
];
