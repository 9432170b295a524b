/**
 * Stands in for zod in the dashboard's build. The shared language defines its schemas with it as its modules load, and the
 * dashboard uses that language's types, tables and functions but checks nothing with a schema: 40 kB that nobody would run.
 */

const refuse = (name: string) => () => {
  throw new Error(`Schemas are left out of the dashboard: ${name}() cannot be called here.`);
};
const RUNS = new Set(["parse", "safeParse", "parseAsync", "safeParseAsync", "decode", "encode"]);

/** Anything may be asked of it and called on it while schemas are being defined; only using one is refused. */
export const z: unknown = new Proxy(() => undefined, {
  get: (_target, name) => (typeof name === "string" && RUNS.has(name) ? refuse(name) : z),
  apply: () => z,
});
