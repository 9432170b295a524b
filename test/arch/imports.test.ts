/** The shape of the code, held by a test: direction of imports, fences around libraries and the world, sizes, names. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const PACKAGES = ["protocol/src", "agent/src", "control-plane/src", "control-plane/web/src"];

interface SourceFile {
  path: string;
  text: string;
  lines: number;
  imports: string[];
  /** Those that are there at run time: `import type` costs nothing and binds nothing. */
  loads: string[];
  isTest: boolean;
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

function walk(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (name === "node_modules") return [];
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

function read(path: string): SourceFile {
  const text = readFileSync(path, "utf8");
  const imports = [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? "");
  const loads = [...text.matchAll(IMPORT)]
    .filter((match) => !/^\s*(import|export) type\s/.test(match[0]))
    .map((match) => match[1] ?? match[2] ?? "");
  const name = relative(ROOT, path);
  const isTest = /\.test\.tsx?$/.test(name) || /\/(test|testing|dev)\//.test(name);
  return { path: name, text, lines: text.split("\n").length, imports, loads, isTest };
}

const files = PACKAGES.flatMap((directory) => walk(join(ROOT, directory)))
  .filter((path) => /\.tsx?$/.test(path) && !path.endsWith("api-types.ts"))
  .map(read);
const product = files.filter((file) => !file.isTest);

/** The file that a relative import means, as a path from the root; undefined for packages. */
function target(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return relative(ROOT, resolve(ROOT, dirname(file.path), specifier));
}

function offenders(test: (file: SourceFile) => string | undefined, among = product): string[] {
  return among.flatMap((file) => {
    const problem = test(file);
    return problem === undefined ? [] : [`${file.path}: ${problem}`];
  });
}

/** Files that import a package matching `pattern` although they are not allowed to. */
function fence(pattern: RegExp, allowed: RegExp): string[] {
  return offenders((file) => {
    if (allowed.test(file.path)) return undefined;
    const specifier = file.loads.find((name) => pattern.test(name));
    return specifier === undefined ? undefined : `imports ${specifier}`;
  });
}

describe("direction of imports", () => {
  it("finds the sources at all", () => {
    expect(product.length).toBeGreaterThan(60);
    expect(product.flatMap((file) => file.imports).length).toBeGreaterThan(200);
  });

  it("keeps the protocol free of our other packages, of Node and of I/O, because both sides and the browser load it", () => {
    expect(
      offenders((file) =>
        file.path.startsWith("protocol/")
          ? file.imports.find((name) => /^(node:|@dflow\/|\.\.\/\.\.\/)/.test(name) || !/^(\.|zod$)/.test(name))
          : undefined,
      ),
    ).toEqual([]);
  });

  it("lets each package know only the protocol of ours, because agent, control plane and dashboard are released apart", () => {
    expect(
      offenders((file) => {
        const home = PACKAGES.find((directory) => file.path.startsWith(`${directory}/`)) ?? "";
        return file.imports.find((name) => {
          if (/^@dflow\/(?!protocol$)/.test(name)) return true;
          const path = target(file, name);
          return path !== undefined && !path.startsWith(`${home}/`);
        });
      }),
    ).toEqual([]);
  });

  it("lets a room reach another room only through its verbs, never through its store or routes", () => {
    expect(
      offenders((file) => {
        if (/(^|\/)(app|main|bootstrap)\.ts$/.test(file.path)) return undefined;
        return file.imports.find((name) => {
          const path = target(file, name);
          return path !== undefined && /\/(store|routes)\.ts$/.test(path) && dirname(path) !== dirname(file.path);
        });
      }),
    ).toEqual([]);
  });

  it("has nothing import a process's main.ts, because importing must not start anything", () => {
    expect(offenders((file) => file.imports.find((name) => target(file, name)?.endsWith("/main.ts")), files)).toEqual(
      [],
    );
  });

  it("has no import cycles, because a cycle has no lowest place to understand first", () => {
    const graph = new Map(
      product.map((file) => [
        file.path,
        file.imports.map((name) => target(file, name)).filter((path): path is string => path !== undefined),
      ]),
    );
    expect(cycles(graph)).toEqual([]);
  });
});

describe("fences", () => {
  const FENCES: [what: string, pattern: RegExp, allowed: RegExp][] = [
    ["dockerode", /^dockerode$/, /^agent\/src\/docker\/dockerode\.ts$/],
    ["the agent's SQLite driver", /^node:sqlite$/, /^agent\/src\/journal\//],
    ["the control plane's SQLite driver", /^better-sqlite3$/, /^control-plane\/src\/db\//],
    ["ws", /^ws$/, /^(agent\/src\/link\/[a-z-]+|control-plane\/src\/agents\/[a-z-]+)\.ts$/],
    ["hono", /^(hono|@hono\/)/, /^control-plane\/src\/(http\/|auth\/|app\.ts|main\.ts|.*\/routes\.ts|agents\/)/],
    ["child processes", /^node:child_process$/, /^$/],
  ];
  it.each(FENCES)("keeps %s in its place", (_what, pattern, allowed) => {
    expect(fence(pattern, allowed)).toEqual([]);
  });

  it("imports ws in exactly one file a side", () => {
    const importers = product.filter((file) => file.loads.includes("ws")).map((file) => file.path.split("/")[0]);
    expect(importers.sort()).toEqual(["agent", "control-plane"]);
  });

  it("reads process.* only where a process is made", () => {
    expect(
      offenders((file) => {
        if (file.path.startsWith("control-plane/web/")) return undefined;
        if (/\/(main|config|platform)\.ts$/.test(file.path)) return undefined;
        return /\bprocess\.(env|argv|exit|on|pid|cwd|stdin|stdout|kill)\b/.exec(withoutComments(file.text))?.[0];
      }),
    ).toEqual([]);
  });

  it("takes time and randomness from the platform, because a test must be able to move them", () => {
    expect(
      offenders((file) => {
        if (file.path.startsWith("control-plane/web/")) return undefined;
        if (/\/(main|platform)\.ts$/.test(file.path)) return undefined;
        return /\b(Date\.now|Math\.random|new Date\(\)|performance\.now|randomUUID|randomBytes|setTimeout|setInterval)\b/.exec(
          withoutComments(file.text),
        )?.[0];
      }),
    ).toEqual([]);
  });
});

describe("size and names", () => {
  it("keeps files under 400 lines, tests under 600", () => {
    expect(
      offenders((file) => (file.lines > (file.isTest ? 600 : 400) ? `${file.lines} lines` : undefined), files),
    ).toEqual([]);
  });

  it("says in each file's first line what it is", () => {
    expect(offenders((file) => (/^(#!.*\n)?\/\*\*/.test(file.text) ? undefined : "no first line"), product)).toEqual(
      [],
    );
  });

  it("has no drawers: a file is named after the thing inside", () => {
    expect(
      offenders(
        (file) => /(^|\/)(manager|helpers?|utils?|common|misc|base|lib)(\.tsx?|\/)/.exec(file.path)?.[0],
        files,
      ),
    ).toEqual([]);
  });

  it("has one barrel, the protocol's", () => {
    expect(
      offenders((file) =>
        file.path !== "protocol/src/index.ts" && /(^|\n)export \* from/.test(file.text) ? "is a barrel" : undefined,
      ),
    ).toEqual([]);
  });

  it("has no module-level variable that changes", () => {
    expect(offenders((file) => /(^|\n)(export )?let \w+/.exec(file.text)?.[0].trim())).toEqual([]);
  });
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
}

function cycles(graph: Map<string, string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      found.push([...trail.slice(at), path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}
