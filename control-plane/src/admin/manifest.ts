/** The list that lies beside a backup: what it holds, and by which sums a restore knows it again. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { AppError } from "@dflow/protocol";
import { z } from "zod";
import { KEPT_FILES } from "../data-folder.ts";

export const MANIFEST_FILE = "manifest.json";

const fileSchema = z.object({
  /** Only names that we know: a manifest from elsewhere cannot point out of its folder. */
  name: z.enum(KEPT_FILES),
  sizeBytes: z.number().int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const manifestSchema = z.object({
  format: z.literal(1),
  /** Of the control plane that took it. */
  version: z.string(),
  takenAt: z.iso.datetime(),
  files: z
    .array(fileSchema)
    .refine((files) => KEPT_FILES.every((name) => files.filter((file) => file.name === name).length === 1), {
      message: `names each of ${KEPT_FILES.join(", ")} once`,
    }),
});
export type Manifest = z.infer<typeof manifestSchema>;

export function parseManifest(text: string, name: string): Manifest {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid_input", `${name} is not JSON.`, { cause });
  }
  const parsed = manifestSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError("invalid_input", `${name}: ${issue?.path.join(".") || "file"}: ${issue?.message ?? "not valid"}`);
}

export async function fileEntry(folder: string, name: Manifest["files"][number]["name"]) {
  const file = join(folder, name);
  return { name, sizeBytes: (await stat(file)).size, sha256: await sha256Of(file) };
}

/** Reads the file in pieces: a database may be larger than memory. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
