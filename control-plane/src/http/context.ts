/** What a request carries from middleware to handler. */

import type { Role } from "@dflow/protocol";
import type { HttpBindings } from "@hono/node-server";
import type { Principal } from "../auth/principal.ts";

export interface ApiEnv {
  Bindings: Partial<HttpBindings>;
  Variables: {
    requestId: string;
    /** The socket's peer, or what a trusted proxy says of it. */
    clientAddress: string;
    /** Set on every /api route that is not on the public list. */
    principal: Principal;
    /** Set by `access.to(…)`: the workspace that the named thing lives in, and the caller's role there. */
    workspaceId: string;
    role: Role;
  };
}
