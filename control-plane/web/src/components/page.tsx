/** One page inside the frame: where it stands, how fresh it is, its title, and its content. */
import { ChevronRight, Menu as MenuIcon } from "lucide-react";
import { Fragment, type ReactNode, useEffect } from "react";
import { buttonClass } from "../ui/button.tsx";
import { cx } from "../ui/classes.ts";
import { useNavigation } from "./frame-context.ts";
import { LiveDot } from "./live-dot.tsx";
import { useEnterWorkspace, useWorkspace } from "./workspace.tsx";

interface PageProps {
  /** The document's title, before " · dFlow". */
  title: string;
  /** Links from the outermost to this page. */
  crumbs: ReactNode[];
  /** The workspace of the thing on the page, once it is known. */
  workspaceId?: string | undefined;
  children: ReactNode;
  wide?: boolean;
}

export function Page({ title, crumbs, workspaceId, children, wide = false }: PageProps) {
  const { openNavigation } = useNavigation();
  const enter = useEnterWorkspace();
  const current = useWorkspace().id;
  useEffect(() => {
    if (workspaceId !== undefined && workspaceId !== current) enter(workspaceId);
  }, [workspaceId, current, enter]);
  return (
    <>
      <title>{`${title} · dFlow`}</title>
      <header className="sticky top-0 z-30 flex h-12 items-center gap-2 border-b border-line bg-canvas/90 px-3 backdrop-blur sm:px-6">
        <button
          type="button"
          onClick={openNavigation}
          aria-label="Open navigation"
          className={buttonClass("ghost", "icon", "-ml-1 md:hidden")}
        >
          <MenuIcon size={16} aria-hidden="true" />
        </button>
        <nav aria-label="Breadcrumb" className="min-w-0 flex-1">
          <ol className="flex min-w-0 items-center gap-1 text-sm text-soft">
            {crumbs.map((crumb, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a crumb's place is its identity
              <Fragment key={index}>
                {index > 0 && <ChevronRight size={14} aria-hidden="true" className="shrink-0 text-faint" />}
                <li
                  className={cx(
                    "min-w-0 truncate [&>a]:rounded-sm [&>a:hover]:text-ink",
                    index === crumbs.length - 1 ? "font-medium text-ink" : "max-sm:max-w-20",
                  )}
                  {...(index === crumbs.length - 1 ? { "aria-current": "page" as const } : {})}
                >
                  {crumb}
                </li>
              </Fragment>
            ))}
          </ol>
        </nav>
        <LiveDot />
      </header>
      <main id="content" tabIndex={-1} className={cx("mx-auto w-full px-3 py-5 sm:px-6", wide ? "" : "max-w-[1248px]")}>
        {children}
      </main>
    </>
  );
}

export function PageTitle({ title, help, actions }: { title: string; help?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="mb-4 flex flex-wrap items-start justify-between gap-x-4 gap-y-3">
      <div className="min-w-0">
        <h1 className="text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">{title}</h1>
        {help !== undefined && <p className="mt-0.5 text-sm text-soft">{help}</p>}
      </div>
      {actions !== undefined && <div className="flex flex-wrap gap-2">{actions}</div>}
    </div>
  );
}
