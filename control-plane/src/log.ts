/** The process's log: JSON lines on stdout, in which a field that could hold a secret never shows its value. */
import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";

const SECRET_FIELDS = [
  "password",
  "token",
  "secret",
  "secrets",
  "key",
  "apiKey",
  "jws",
  "uri",
  "authorization",
  "cookie",
  "sealed",
];

export function createLog(level: string, destination?: DestinationStream): Logger {
  const options: LoggerOptions = {
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: "[redacted]" },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}
