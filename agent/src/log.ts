/** The agent's own log: JSON lines, in which nothing that could be a secret shows its value. */
import { redact, redactText } from "@dflow/protocol";
import { type DestinationStream, pino } from "pino";
import type { Settings } from "./config.ts";
import type { Log } from "./deps.ts";

type Fields = Record<string, unknown>;

export function createLog(level: Settings["logLevel"], destination: DestinationStream): Log {
  return pino(
    {
      level,
      base: undefined,
      formatters: { log: (fields: Fields) => redact(fields) as Fields },
      // What comes here was an error and is one's description: pino's own serializer would take it for an error again.
      serializers: { err: (described: unknown) => described },
      // Messages and stacks of others can name a token or an address with a password.
      hooks: { streamWrite: redactText },
    },
    destination,
  );
}
