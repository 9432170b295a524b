/** The routes under /api that need neither session nor API key. Everything else is refused without one. */

export interface PublicRoute {
  method: string;
  path: string;
  reason: string;
}

export const PUBLIC_ROUTES: readonly PublicRoute[] = [
  { method: "POST", path: "/api/auth/sign-in/email", reason: "this is how a session begins" },
  { method: "POST", path: "/api/auth/sign-out", reason: "ending a session that is gone already is no error" },
  { method: "GET", path: "/api/auth/get-session", reason: "answers null without a session" },
  {
    method: "POST",
    path: "/api/v1/invitations/accept",
    reason: "the invited person has no account yet; the token is the right",
  },
  { method: "GET", path: "/api/v1/openapi.json", reason: "the document is the same for everyone and names nobody" },
];

/** The routes outside /api, where nobody asks for a session or a key unless the route does. Each with what makes that right. */
export const OPEN_ROUTES: readonly PublicRoute[] = [
  { method: "GET", path: "/healthz", reason: "says only that the process answers" },
  { method: "GET", path: "/metrics", reason: "asks itself for an admin's key, or for a program on this machine" },
  { method: "GET", path: "/readyz", reason: "says only that the process can work" },
  { method: "GET", path: "/install.sh", reason: "the same script for everyone; it holds an address and no secret" },
  {
    method: "GET",
    path: "/install/:file",
    reason: "our published programs; a server that fetches them has no account",
  },
];

export function isPublicRoute(method: string, path: string): boolean {
  const asked = method === "HEAD" ? "GET" : method;
  return PUBLIC_ROUTES.some((route) => route.method === asked && route.path === path);
}
