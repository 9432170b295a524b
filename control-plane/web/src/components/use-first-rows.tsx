/** The first part of a long list, and a button for the rest: thousands of rows are searched, not scrolled. */
import { useState } from "react";
import { Button } from "../ui/button.tsx";

const FIRST = 200;

export function useFirstRows<T>(rows: readonly T[]) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, FIRST);
  const more = shown.length < rows.length && (
    <div className="flex justify-center pt-1">
      <Button onClick={() => setAll(true)}>Show all {rows.length}</Button>
    </div>
  );
  return { shown, more };
}
