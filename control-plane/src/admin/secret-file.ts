/** Writes a secret where only its owner can read it. */
import { writeFileSync } from "node:fs";
import { AppError, messageOf } from "@dflow/protocol";

/** Never over a file that is there: it may be somebody's only copy of another secret. */
export function writeSecretFile(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: "wx", flush: true });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new AppError("invalid_input", `${file} is there already.`, { hint: "Name a new file with --out." });
    }
    throw new AppError("invalid_input", `write ${file}: ${messageOf(error)}`, { cause: error });
  }
}
