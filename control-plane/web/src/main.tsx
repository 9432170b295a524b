/** Starts the dashboard. Nothing imports it. */
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { lazy, StrictMode, Suspense, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { isApiError } from "./api.ts";
import { createLive } from "./live.ts";
import { paths } from "./paths.ts";
import { createDashboardRouter } from "./router.tsx";
import { watchTheme } from "./theme.ts";
import { toastDoor } from "./ui/toast.tsx";
import "./styles.css";

const Toaster = lazy(async () => ({ default: (await import("./ui/toaster.tsx")).Toaster }));

function Toasts() {
  const wanted = useSyncExternalStore(toastDoor.subscribe, toastDoor.isWanted);
  return wanted ? (
    <Suspense>
      <Toaster />
    </Suspense>
  ) : null;
}

/** Every answer that says "sign in" leads to the same place, whoever asked. */
function onError(error: Error): void {
  if (!isApiError(error) || error.code !== "unauthenticated") return;
  const { pathname, href } = router.state.location;
  if (pathname === paths.signIn || pathname === paths.invite) return;
  void router.navigate({ to: paths.signIn, search: { next: href }, replace: true }).then(() => queryClient.clear());
}

const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      // What is refused is refused; only silence is asked again, and the event stream's return asks for all of it anyway.
      retry: (failures, error) => isApiError(error) && error.code === "no_answer" && failures < 2,
      staleTime: 2_000,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});
const router = createDashboardRouter({ queryClient, live: createLive(queryClient) });

watchTheme();
const container = document.getElementById("root");
if (container === null) throw new Error("index.html has no #root.");
createRoot(container).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
      <Toasts />
    </QueryClientProvider>
  </StrictMode>,
);
