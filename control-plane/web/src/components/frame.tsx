/** The frame around every page of a signed-in person: navigation left, the page right, one event stream under both. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouteContext, useRouterState } from "@tanstack/react-router";
import { Boxes, LogOut, Monitor, Moon, PanelLeft, Server, Sun, Users } from "lucide-react";
import { lazy, type ReactNode, Suspense, useEffect, useMemo, useState } from "react";
import { signOut } from "../api.ts";
import { paths } from "../paths.ts";
import { meQuery } from "../queries.ts";
import { chooseTheme, readPreference, type ThemeChoice, useThemeChoice, writePreference } from "../theme.ts";
import { Button, buttonClass } from "../ui/button.tsx";
import { cx } from "../ui/classes.ts";
import { Empty } from "../ui/empty.tsx";
import { notify } from "../ui/toast.tsx";
import { NavigationContext } from "./frame-context.ts";
import { useEnterWorkspace, useMe, useWorkspace, WorkspaceProvider } from "./workspace.tsx";

const Sheet = lazy(async () => ({ default: (await import("../ui/sheet.tsx")).Sheet }));

export function Frame() {
  const { data: me } = useQuery(meQuery);
  if (me === undefined) return null;
  return (
    <WorkspaceProvider me={me} none={<NoWorkspace />}>
      <FramedPages />
    </WorkspaceProvider>
  );
}

const COLLAPSED = "dflow.sidebar";

function FramedPages() {
  const { live } = useRouteContext({ from: "__root__" });
  const workspace = useWorkspace();
  const [collapsed, setCollapsed] = useState(() => readPreference(COLLAPSED) === "collapsed");
  const [sheetOpen, setSheetOpen] = useState(false);
  const href = useRouterState({ select: (state) => state.location.pathname });
  const navigation = useMemo(() => ({ openNavigation: () => setSheetOpen(true) }), []);

  useEffect(() => live.follow(workspace.id), [live, workspace.id]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page was chosen, so the sheet has done its work
  useEffect(() => setSheetOpen(false), [href]);

  const toggle = () => {
    writePreference(COLLAPSED, collapsed ? "open" : "collapsed");
    setCollapsed(!collapsed);
  };
  return (
    <NavigationContext value={navigation}>
      <a
        href="#content"
        className="sr-only z-50 rounded-md bg-accent px-3 py-2 text-sm font-medium text-on-accent focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        Skip to content
      </a>
      <div className="flex min-h-dvh">
        <aside
          className={cx(
            "sticky top-0 hidden h-dvh shrink-0 border-r border-line md:block",
            collapsed ? "w-[53px]" : "w-[232px]",
          )}
        >
          <Sidebar collapsed={collapsed} onToggle={toggle} />
        </aside>
        {sheetOpen && (
          <Suspense>
            <Sheet onClose={() => setSheetOpen(false)} title="Navigation">
              <Sidebar collapsed={false} />
            </Sheet>
          </Suspense>
        )}
        <div className="min-w-0 flex-1">
          <Outlet />
        </div>
      </div>
    </NavigationContext>
  );
}

function Sidebar({ collapsed, onToggle }: { collapsed: boolean; onToggle?: () => void }) {
  return (
    <div className="flex h-full flex-col gap-4 p-2.5">
      <div className={cx("flex items-center gap-2", collapsed && "flex-col")}>
        <WorkspaceName collapsed={collapsed} />
        {onToggle !== undefined && (
          <button
            type="button"
            onClick={onToggle}
            aria-label={collapsed ? "Expand the sidebar" : "Collapse the sidebar"}
            aria-expanded={!collapsed}
            className={buttonClass("ghost", "icon")}
          >
            <PanelLeft size={16} aria-hidden="true" />
          </button>
        )}
      </div>
      <nav aria-label="Main" className="flex flex-1 flex-col gap-0.5">
        <NavLink
          to={paths.applications}
          collapsed={collapsed}
          icon={<Boxes size={16} aria-hidden="true" />}
          also={["/environments", "/services"]}
        >
          Applications
        </NavLink>
        <NavLink to={paths.servers} collapsed={collapsed} icon={<Server size={16} aria-hidden="true" />}>
          Servers
        </NavLink>
        <p className={cx("mt-4 mb-1 px-2 text-xs text-faint", collapsed && "sr-only")}>Settings</p>
        <NavLink to={paths.members} collapsed={collapsed} icon={<Users size={16} aria-hidden="true" />}>
          Members
        </NavLink>
      </nav>
      <ThemeToggle collapsed={collapsed} />
      <You collapsed={collapsed} />
    </div>
  );
}

function WorkspaceName({ collapsed }: { collapsed: boolean }) {
  const me = useMe();
  const workspace = useWorkspace();
  const enter = useEnterWorkspace();
  const navigate = useNavigate();
  const mark = (
    <span
      aria-hidden="true"
      className="grid size-6 shrink-0 place-items-center rounded-md bg-accent text-xs font-semibold text-on-accent"
    >
      {workspace.name.charAt(0).toUpperCase()}
    </span>
  );
  if (collapsed)
    return (
      <div title={workspace.name} className="grid size-8 place-items-center">
        {mark}
      </div>
    );
  return (
    <div className="flex h-8 min-w-0 flex-1 items-center gap-2 px-1">
      {mark}
      {me.workspaces.length > 1 ? (
        <select
          aria-label="Workspace"
          value={workspace.id}
          onChange={(event) => {
            enter(event.target.value);
            void navigate({ to: paths.applications });
          }}
          className="min-w-0 flex-1 truncate rounded-md bg-transparent text-sm font-semibold"
        >
          {me.workspaces.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      ) : (
        <span className="truncate text-sm font-semibold">{workspace.name}</span>
      )}
    </div>
  );
}

interface NavLinkProps {
  to: string;
  collapsed: boolean;
  icon: ReactNode;
  children: string;
  /** Other addresses that belong to this entry. */
  also?: readonly string[];
}

function NavLink({ to, collapsed, icon, children, also = [] }: NavLinkProps) {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const current = [to, ...also].some((prefix) => path.startsWith(prefix));
  return (
    <Link
      to={to}
      aria-current={current ? "page" : undefined}
      title={collapsed ? children : undefined}
      className={cx(
        "flex h-8 items-center gap-2.5 rounded-md px-2 text-sm font-medium",
        current ? "bg-hover text-ink" : "text-soft hover:bg-hover hover:text-ink",
      )}
    >
      {icon}
      <span className={collapsed ? "sr-only" : "truncate"}>{children}</span>
    </Link>
  );
}

const THEMES: readonly { id: ThemeChoice; label: string; Icon: typeof Sun }[] = [
  { id: "system", label: "System theme", Icon: Monitor },
  { id: "light", label: "Light theme", Icon: Sun },
  { id: "dark", label: "Dark theme", Icon: Moon },
];

function ThemeToggle({ collapsed }: { collapsed: boolean }) {
  const choice = useThemeChoice();
  return (
    <fieldset className={cx("flex w-fit gap-0.5 rounded-lg border border-line p-0.5", collapsed && "flex-col")}>
      <legend className="sr-only">Theme</legend>
      {THEMES.map(({ id, label, Icon }) => (
        <button
          key={id}
          type="button"
          aria-label={label}
          aria-pressed={choice === id}
          title={label}
          onClick={() => chooseTheme(id)}
          className={cx(
            "grid h-6 w-7 place-items-center rounded-md",
            choice === id ? "bg-hover text-ink" : "text-faint hover:text-ink",
          )}
        >
          <Icon size={14} aria-hidden="true" />
        </button>
      ))}
    </fieldset>
  );
}

function useSignOut(): () => Promise<void> {
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  return async () => {
    try {
      await signOut();
    } catch (error) {
      notify.problem("Not signed out", error);
      return;
    }
    await navigate({ to: paths.signIn });
    queryClient.clear();
  };
}

function You({ collapsed }: { collapsed: boolean }) {
  const me = useMe();
  const workspace = useWorkspace();
  const leave = useSignOut();
  return (
    <div className={cx("flex items-center gap-2 border-t border-line pt-2.5", collapsed && "justify-center")}>
      {!collapsed && (
        <div className="min-w-0 flex-1 px-1">
          <p className="truncate text-sm font-medium" title={me.user?.email}>
            {me.user?.name || me.user?.email}
          </p>
          <p className="text-xs text-faint capitalize">{workspace.role}</p>
        </div>
      )}
      <button
        type="button"
        onClick={() => void leave()}
        aria-label="Sign out"
        title="Sign out"
        className={buttonClass("ghost", "icon")}
      >
        <LogOut size={16} aria-hidden="true" />
      </button>
    </div>
  );
}

function NoWorkspace() {
  const leave = useSignOut();
  return (
    <main className="mx-auto max-w-xl px-4 py-24">
      <title>No workspace · dFlow</title>
      <Empty
        level={1}
        icon={<Boxes size={18} aria-hidden="true" />}
        title="You are in no workspace"
        action={<Button onClick={() => void leave()}>Sign out</Button>}
      >
        Ask someone who is in it to invite you; the invitation's link brings you here again.
      </Empty>
    </main>
  );
}
