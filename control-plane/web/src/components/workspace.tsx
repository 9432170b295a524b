/** The workspace the person works in: the one of the thing on the screen, else the one chosen last. */
import { hasRight, type Me, type Right } from "@dflow/protocol";
import { createContext, type ReactNode, use, useCallback, useMemo, useState } from "react";
import { readPreference, writePreference } from "../theme.ts";

export type Workspace = Me["workspaces"][number];

interface WorkspaceContext {
  me: Me;
  workspace: Workspace;
  enter: (workspaceId: string) => void;
}

const Context = createContext<WorkspaceContext | undefined>(undefined);
const KEY = "dflow.workspace";

export function WorkspaceProvider({ me, children, none }: { me: Me; children: ReactNode; none: ReactNode }) {
  const [chosen, setChosen] = useState(() => readPreference(KEY));
  const workspace = me.workspaces.find(({ id }) => id === chosen) ?? me.workspaces[0];
  const enter = useCallback((workspaceId: string) => {
    writePreference(KEY, workspaceId);
    setChosen(workspaceId);
  }, []);
  const value = useMemo(() => workspace && { me, workspace, enter }, [me, workspace, enter]);
  return value === undefined ? none : <Context value={value}>{children}</Context>;
}

function useContextValue(): WorkspaceContext {
  const value = use(Context);
  if (value === undefined) throw new Error("This part of the page needs a signed-in person.");
  return value;
}

export const useMe = () => useContextValue().me;
export const useWorkspace = () => useContextValue().workspace;
export const useEnterWorkspace = () => useContextValue().enter;

/** Whether the person may do something here. Only for what to show: the server decides. */
export function useRight(right: Right): boolean {
  return hasRight(useWorkspace().role, right);
}
