/** The tree of pages. Each page is a file of its own that is loaded when it is first wanted. */
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { isApiError } from "./api.ts";
import { Frame } from "./components/frame.tsx";
import type { Live } from "./live.ts";
import { Broken, NotFound } from "./pages/broken.tsx";
import { paths, safeNext } from "./paths.ts";
import { meQuery } from "./queries.ts";

interface RouterContext {
  queryClient: QueryClient;
  live: Live;
}

/** A short text of the address, or nothing. */
const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== ""
    ? value.slice(0, 200)
    : typeof value === "number"
      ? String(value)
      : undefined;
const oneOf = <T extends string>(value: unknown, allowed: readonly T[]): T | undefined =>
  allowed.find((entry) => entry === value);

const root = createRootRouteWithContext<RouterContext>()({
  component: Outlet,
  notFoundComponent: NotFound,
  errorComponent: Broken,
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: paths.signIn,
  validateSearch: ({
    next,
    email,
    welcome,
  }: Record<string, unknown>): { next?: string; email?: string; welcome?: true } => ({
    ...(text(next) === undefined ? {} : { next: safeNext(next) }),
    ...(text(email) === undefined ? {} : { email: String(email) }),
    ...(welcome === true ? { welcome } : {}),
  }),
  component: lazyRouteComponent(() => import("./pages/sign-in/sign-in.tsx"), "SignInPage"),
});

const invite = createRoute({
  getParentRoute: () => root,
  path: paths.invite,
  component: lazyRouteComponent(() => import("./pages/invite/invite.tsx"), "InvitePage"),
});

/** Everything below needs a person who is signed in. */
const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  component: Frame,
  beforeLoad: async ({ context, location }) => {
    try {
      await context.queryClient.ensureQueryData(meQuery);
    } catch (error) {
      if (isApiError(error) && error.code === "unauthenticated") {
        throw redirect({ to: paths.signIn, search: { next: location.href }, replace: true });
      }
      throw error;
    }
  },
});

const home = createRoute({
  getParentRoute: () => app,
  path: paths.home,
  beforeLoad: () => {
    throw redirect({ to: paths.applications, replace: true });
  },
});

const applications = createRoute({
  getParentRoute: () => app,
  path: paths.applications,
  validateSearch: ({ q, create }: Record<string, unknown>): { q?: string | undefined; create?: true | undefined } => ({
    q: text(q),
    create: create === true ? create : undefined,
  }),
  component: lazyRouteComponent(() => import("./pages/applications/applications.tsx"), "ApplicationsPage"),
});

const application = createRoute({
  getParentRoute: () => app,
  path: paths.application,
  validateSearch: ({
    dialog,
  }: Record<string, unknown>): { dialog?: "create-environment" | "rename" | "delete" | undefined } => ({
    dialog: oneOf(dialog, ["create-environment", "rename", "delete"]),
  }),
  component: lazyRouteComponent(() => import("./pages/applications/application.tsx"), "ApplicationPage"),
});

interface EnvironmentSearch {
  q?: string | undefined;
  /** The step of Add service. */
  add?: "service" | "database" | undefined;
  engine?: string | undefined;
  dialog?: "delete" | undefined;
}
const environment = createRoute({
  getParentRoute: () => app,
  path: paths.environment,
  validateSearch: ({ q, add, engine, dialog }: Record<string, unknown>): EnvironmentSearch => ({
    q: text(q),
    add: oneOf(add, ["service", "database"]),
    engine: text(engine),
    dialog: oneOf(dialog, ["delete"]),
  }),
  component: lazyRouteComponent(() => import("./pages/environments/environment.tsx"), "EnvironmentPage"),
});

const TABS = ["overview", "logs", "deployments", "settings"] as const;
interface ServiceSearch {
  tab?: (typeof TABS)[number] | undefined;
  /** The operation whose log is open. */
  operation?: string | undefined;
  /** Of the Logs tab: what is searched for, and how many lines of history. */
  q?: string | undefined;
  tail?: number | undefined;
}
const service = createRoute({
  getParentRoute: () => app,
  path: paths.service,
  validateSearch: ({ tab, operation, q, tail }: Record<string, unknown>): ServiceSearch => ({
    tab: oneOf(tab, TABS),
    operation: text(operation),
    q: text(q),
    tail: typeof tail === "number" && tail >= 0 && tail <= 5_000 ? Math.floor(tail) : undefined,
  }),
  component: lazyRouteComponent(() => import("./pages/services/service.tsx"), "ServicePage"),
});

const servers = createRoute({
  getParentRoute: () => app,
  path: paths.servers,
  validateSearch: ({ q, add }: Record<string, unknown>): { q?: string | undefined; add?: true | undefined } => ({
    q: text(q),
    add: add === true ? add : undefined,
  }),
  component: lazyRouteComponent(() => import("./pages/servers/servers.tsx"), "ServersPage"),
});

const server = createRoute({
  getParentRoute: () => app,
  path: paths.server,
  component: lazyRouteComponent(() => import("./pages/servers/server.tsx"), "ServerPage"),
});

const members = createRoute({
  getParentRoute: () => app,
  path: paths.members,
  component: lazyRouteComponent(() => import("./pages/settings/members.tsx"), "MembersPage"),
});

const routeTree = root.addChildren([
  signIn,
  invite,
  app.addChildren([home, applications, application, environment, service, servers, server, members]),
]);

export function createDashboardRouter(context: RouterContext) {
  return createRouter({
    routeTree,
    context,
    defaultPreload: "intent",
    scrollRestoration: true,
    defaultPendingMs: 200,
    defaultNotFoundComponent: NotFound,
    defaultErrorComponent: Broken,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createDashboardRouter>;
  }
}
