/** When what an address names cannot be shown: not there, not for this person, or not reachable now. */
import { Link } from "@tanstack/react-router";
import { SearchX } from "lucide-react";
import { isApiError } from "../api.ts";
import { Page } from "../components/page.tsx";
import { paths } from "../paths.ts";
import { buttonClass } from "../ui/button.tsx";
import { Empty } from "../ui/empty.tsx";
import { Problem } from "../ui/problem.tsx";

interface MissingProps {
  what: "service" | "environment" | "application" | "server" | "page";
  error?: unknown;
  onRetry?: () => void;
}

export function Missing({ what, error, onRetry }: MissingProps) {
  const known = error !== undefined && !(isApiError(error) && (error.status === 404 || error.code === "invalid_input"));
  const title = `This ${what} does not exist`;
  return (
    <Page
      title={known ? "Not shown" : title}
      crumbs={[
        <Link key="home" to={paths.applications}>
          Applications
        </Link>,
        "Not found",
      ]}
    >
      {known ? (
        <Problem title={`The ${what} cannot be shown`} error={error} onRetry={onRetry} />
      ) : (
        <NotFoundNote title={title} what={what} />
      )}
    </Page>
  );
}

export function NotFoundNote({ title, what }: { title: string; what: string }) {
  return (
    <Empty
      level={1}
      icon={<SearchX size={18} aria-hidden="true" />}
      title={title}
      action={
        <Link to={paths.applications} className={buttonClass("secondary")}>
          Go to Applications
        </Link>
      }
    >
      {what === "page"
        ? "Nothing of the dashboard has this address."
        : "It was deleted, or it belongs to a workspace that you are not in."}
    </Empty>
  );
}
