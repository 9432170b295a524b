/** The process's log: JSON lines on stdout, in which nothing that could be a secret shows its value. */
import { redact, redactText } from "@dflow/protocol";
import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";

type Fields = Record<string, unknown>;

export function createLog(level: string, destination?: DestinationStream): Logger {
  const withoutSecrets = (fields: Fields) => redact(fields) as Fields;
  const options: LoggerOptions = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { log: withoutSecrets, bindings: withoutSecrets },
    // What comes here was an error and is one's description: pino's own serializer would take it for an error again.
    serializers: { err: (described: unknown) => described },
    // Messages, stacks and texts of others can name a key, a token or an address with a password.
    hooks: { streamWrite: redactText },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
