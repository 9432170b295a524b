/** What can be chosen: the protocol's engines with the images that the image map gives them. */
import {
  ENGINES,
  type EngineEntry,
  type EngineInfo,
  engineIdSchema,
  engineVersions,
  type ImageMap,
  type ResolvedImage,
} from "@dflow/protocol";

export function findEngine(id: string): EngineEntry | undefined {
  const known = engineIdSchema.safeParse(id);
  return known.success ? ENGINES[known.data] : undefined;
}

export function resolveImage(engineId: string, version: string, map: ImageMap): ResolvedImage | undefined {
  const engine = findEngine(engineId);
  if (engine === undefined) return undefined;
  return engineVersions(engine, map).find((entry) => entry.version === version);
}

export function listEngines(map: ImageMap): EngineInfo[] {
  return Object.values(ENGINES).map((engine) => ({
    id: engine.id,
    label: engine.label,
    goodFor: engine.goodFor,
    defaultVersion: engine.defaultVersion,
    port: engine.port,
    versions: engineVersions(engine, map),
    reservedNames: [...engine.reservedNames],
  }));
}
