/** The language both sides speak. The one barrel of the project: nothing here does I/O or reads a clock. */
export * from "./api/schemas.ts";
export * from "./backoff.ts";
export * from "./crash-points.ts";
export * from "./credentials.ts";
export * from "./engines.ts";
export * from "./errors.ts";
export * from "./guards.ts";
export * from "./ids.ts";
export * from "./redact.ts";
export * from "./roles.ts";
export * from "./spec.ts";
export * from "./states.ts";
export * from "./wire/close-codes.ts";
export * from "./wire/enrol.ts";
export * from "./wire/frames.ts";
export * from "./wire/log-data.ts";
export * from "./wire/sequence.ts";
