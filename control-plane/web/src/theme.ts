/** Light, dark, or what the system says. `public/theme.js` applies the same choice before the first paint. */
import { useSyncExternalStore } from "react";

export type ThemeChoice = "system" | "light" | "dark";
const KEY = "dflow.theme";
const CHANGED = "dflow:theme";

export function storedTheme(): ThemeChoice {
  const stored = readPreference(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function applyTheme(choice: ThemeChoice): void {
  const dark = choice === "dark" || (choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

export function chooseTheme(choice: ThemeChoice): void {
  writePreference(KEY, choice);
  applyTheme(choice);
  dispatchEvent(new Event(CHANGED));
}

/** Follows the system while no choice was made, and a choice made in another tab. */
export function watchTheme(): () => void {
  const follow = () => applyTheme(storedTheme());
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", follow);
  addEventListener("storage", follow);
  return () => {
    system.removeEventListener("change", follow);
    removeEventListener("storage", follow);
  };
}

function subscribe(listener: () => void): () => void {
  addEventListener(CHANGED, listener);
  addEventListener("storage", listener);
  return () => {
    removeEventListener(CHANGED, listener);
    removeEventListener("storage", listener);
  };
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, storedTheme);
}

/** Small choices of one browser. Storage may be switched off: then a choice lasts as long as the page. */
export function readPreference(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function writePreference(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    console.warn(`The choice ${key} cannot be kept in this browser.`);
  }
}
