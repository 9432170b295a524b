/** The place where toasts appear. */
import { useEffect } from "react";
import { Toaster as Sonner, toast } from "sonner";
import { useThemeChoice } from "../theme.ts";
import { toastDoor } from "./toast.tsx";

export function Toaster() {
  const theme = useThemeChoice();
  useEffect(() => toastDoor.opened(toast), []);
  return (
    <Sonner theme={theme} position="bottom-right" closeButton visibleToasts={4} containerAriaLabel="Notifications" />
  );
}
