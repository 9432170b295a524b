/** What stands where a page should be: no such address, or an error that the page did not expect. */
import { type ErrorComponentProps, useRouter } from "@tanstack/react-router";
import { useEffect } from "react";
import { isApiError } from "../api.ts";
import { Problem } from "../ui/problem.tsx";
import { NotFoundNote } from "./missing.tsx";

const RETRY_MS = 2_000;

export function Broken({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const waiting = isApiError(error) && error.code === "no_answer";
  const retry = () => {
    reset();
    void router.invalidate();
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: tries again for as long as this stands here
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(retry, RETRY_MS);
    return () => clearInterval(timer);
  }, [waiting]);
  return (
    <main className="mx-auto max-w-xl px-4 py-24">
      <title>Not shown · dFlow</title>
      <Problem title={waiting ? "Waiting for the control plane" : "This page broke"} error={error} onRetry={retry} />
    </main>
  );
}

export function NotFound() {
  return (
    <main className="mx-auto max-w-xl px-4 py-24">
      <title>Page not found · dFlow</title>
      <NotFoundNote title="This page does not exist" what="page" />
    </main>
  );
}
