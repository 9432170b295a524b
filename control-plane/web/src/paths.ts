/** Every address of the dashboard and of the streams it reads. A link that is not here does not exist. */

export const paths = {
  home: "/",
  signIn: "/sign-in",
  invite: "/invite",
  applications: "/applications",
  application: "/applications/$applicationId",
  environment: "/environments/$environmentId",
  service: "/services/$serviceId",
  servers: "/servers",
  server: "/servers/$serverId",
  members: "/settings/members",
} as const;

/** The streams are read by `sse.ts`, not by the typed client, which has no notion of an answer that never ends. */
export const streams = {
  events: (workspaceId: string) => `/api/v1/events?${new URLSearchParams({ workspaceId })}`,
  serviceLogs: (serviceId: string, tail: number) =>
    `/api/v1/services/${serviceId}/logs?${new URLSearchParams({ follow: "true", tail: String(tail) })}`,
  operationLog: (operationId: string, after: number) =>
    `/api/v1/operations/${operationId}/log?${new URLSearchParams({ follow: "true", after: String(after) })}`,
};

/** The link an admin hands to the invited: the token stands behind the `#`, which no server and no log ever sees. */
export function invitationLink(origin: string, token: string): string {
  return `${origin}${paths.invite}#${token}`;
}

/** Where to go after signing in: only a path of this dashboard, never another site. */
export function safeNext(next: unknown): string {
  if (typeof next !== "string" || !next.startsWith("/") || next.startsWith("//") || next.includes("\\")) {
    return paths.applications;
  }
  return next.startsWith(paths.signIn) ? paths.applications : next;
}
