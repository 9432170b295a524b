/** Bundles each process into one file of dist/ (run by scripts/build). */
import { type BuildOptions, build, type Plugin } from "esbuild";

/**
 * Modules that dockerode loads for transports we never use (ssh, buildkit's grpc). Left out, because loading
 * them costs the agent some 30 MB of memory; a call throws with this reason.
 */
const LEFT_OUT = /^(ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/;

const leaveOut: Plugin = {
  name: "leave-out",
  setup(bundler) {
    bundler.onResolve({ filter: LEFT_OUT }, ({ path }) => ({ path, namespace: "left-out" }));
    bundler.onLoad({ filter: /.*/, namespace: "left-out" }, ({ path }) => ({
      contents: `
        const absent = () => { throw new Error("${path} is left out of this bundle"); };
        module.exports = new Proxy({}, { get: (_, name) => (name === "__esModule" ? undefined : absent) });`,
      loader: "js",
    }));
  },
};

const shared = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node24",
  // Lines and names stay as they are, so that a stack trace can be read without the source map too.
  minifySyntax: true,
  legalComments: "none",
  logLevel: "warning",
  // CommonJS dependencies call require() for Node's own modules.
  banner: {
    js: "import{createRequire as dflowRequire}from'node:module';const require=dflowRequire(import.meta.url);",
  },
  plugins: [leaveOut],
} satisfies BuildOptions;

await build({ ...shared, entryPoints: ["agent/src/main.ts"], outfile: "dist/agent.mjs" });
await build({
  ...shared,
  entryPoints: ["control-plane/src/main.ts"],
  outfile: "dist/control-plane.mjs",
  // A native add-on stays a package of its own.
  external: ["better-sqlite3"],
});
