/** Puts text on the clipboard and says so, or says why not. */
import { notify } from "./toast.tsx";

export async function copyText(text: string | (() => Promise<string>)): Promise<boolean> {
  try {
    await write(typeof text === "string" ? text : await text());
  } catch (error) {
    notify.problem("Not copied", error);
    return false;
  }
  notify.done("Copied");
  return true;
}

async function write(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  // Plain http on another host than this machine has no clipboard of its own: the old way still works there.
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  (document.querySelector('[role="dialog"]') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("This browser does not let pages copy. Mark the text and copy it by hand.");
}
