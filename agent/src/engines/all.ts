/** The explicit list of engines. A new engine id in the protocol does not compile until it has its file here. */
import type { EngineId } from "@dflow/protocol";
import type { Engine } from "./engine.ts";
import { postgres } from "./postgres.ts";

export const ENGINE_FILES: Readonly<Record<EngineId, Engine>> = { postgres };
