/** The engine catalogue: what can be chosen, its words, ports, users and URL. No behaviour of containers (agent/src/engines). */
import { z } from "zod";

export const engineIdSchema = z.enum(["postgres"]);
export type EngineId = z.infer<typeof engineIdSchema>;

export interface EngineVersion {
  /** What the user picks and the API takes: "18". */
  version: string;
  /** Image reference that is pulled when no image map says otherwise. */
  image: string;
}

export interface EngineEntry {
  id: EngineId;
  label: string;
  goodFor: string;
  /** Newest first in `versions`; the default is named. Source: engine-images section 7 (library files of 2026-08-21). */
  defaultVersion: string;
  versions: readonly EngineVersion[];
  port: number;
  urlScheme: string;
  /** The user that credentials name. */
  username: string;
  /** Service names that collide with databases or users of the engine itself. */
  reservedNames: readonly string[];
  tokenPrefix: string;
}

export const ENGINES: Record<EngineId, EngineEntry> = {
  postgres: {
    id: "postgres",
    label: "Postgres",
    goodFor: "General-purpose SQL (PostgreSQL)",
    defaultVersion: "18",
    versions: [
      { version: "18", image: "postgres:18-trixie" },
      { version: "17", image: "postgres:17-trixie" },
      { version: "16", image: "postgres:16-trixie" },
      { version: "15", image: "postgres:15-trixie" },
    ],
    port: 5432,
    urlScheme: "postgres",
    username: "postgres",
    reservedNames: ["postgres", "template0", "template1"],
    tokenPrefix: "POSTGRES",
  },
};

/** An image map: a file that adds to or replaces the catalogue's images, for servers without a registry. */
export const imageMapSchema = z.record(
  z.string(),
  z.record(
    z.string().regex(/^[0-9a-z][0-9a-z.-]{0,31}$/),
    z.object({
      image: z.string().min(1).max(255),
      /** True for images built locally from distribution packages; log and dashboard then say so. */
      standIn: z.boolean().optional(),
    }),
  ),
);
export type ImageMap = z.infer<typeof imageMapSchema>;

export interface ResolvedImage {
  version: string;
  image: string;
  standIn: boolean;
}

/** The versions of an engine that can be chosen, catalogue first, with the image each one gets. */
export function engineVersions(engine: EngineEntry, map: ImageMap): ResolvedImage[] {
  const mapped = map[engine.id] ?? {};
  const known = engine.versions.map(({ version, image }) => {
    const override = mapped[version];
    return override === undefined
      ? { version, image, standIn: false }
      : { version, image: override.image, standIn: override.standIn === true };
  });
  const added = Object.entries(mapped)
    .filter(([version]) => !engine.versions.some((entry) => entry.version === version))
    .map(([version, entry]) => ({ version, image: entry.image, standIn: entry.standIn === true }));
  return [...known, ...added];
}
