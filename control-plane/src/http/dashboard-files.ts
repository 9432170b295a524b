/** Serves the built dashboard: read once at start, compressed once, index.html for every address that a page can have. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Context, MiddlewareHandler } from "hono";
import type { ApiEnv } from "./context.ts";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".txt": "text/plain; charset=utf-8",
  ".woff2": "font/woff2",
};
const COMPRESSED = new Set([".html", ".js", ".css", ".json", ".webmanifest", ".svg", ".txt"]);
/** Vite puts what has its content's hash in the name here. */
const HASHED_FOLDER = "/assets/";

interface DashboardFile {
  type: string;
  etag: string;
  hashed: boolean;
  plain: Buffer<ArrayBuffer>;
  br: Buffer<ArrayBuffer> | undefined;
  gzip: Buffer<ArrayBuffer> | undefined;
}

export async function dashboardFiles(webDir: string): Promise<MiddlewareHandler<ApiEnv>> {
  const files = await readAll(webDir);
  return async (c, next) => {
    const { path, method } = c.req;
    if ((method !== "GET" && method !== "HEAD") || isForServer(path)) return next();
    const file = files.get(path);
    if (file !== undefined) return answer(c, file);
    // A missing asset is missing: index.html in its place would be run as a script.
    if (path.startsWith(HASHED_FOLDER)) return next();
    const index = files.get("/index.html");
    return index === undefined ? next() : answer(c, index);
  };
}

function isForServer(path: string): boolean {
  return ["/api", "/agent", "/healthz", "/readyz", "/install", "/install.sh"].some(
    (base) => path === base || path.startsWith(`${base}/`),
  );
}

function answer(c: Context<ApiEnv>, file: DashboardFile): Response {
  const headers = new Headers({
    "Content-Type": file.type,
    "Cache-Control": file.hashed ? "public, max-age=31536000, immutable" : "no-cache",
    ETag: file.etag,
    Vary: "Accept-Encoding",
  });
  if (c.req.header("If-None-Match") === file.etag) return new Response(null, { status: 304, headers });
  const accepted = (c.req.header("Accept-Encoding") ?? "").split(",").map((entry) => entry.trim().split(";")[0]);
  for (const encoding of ["br", "gzip"] as const) {
    const body = file[encoding];
    if (body === undefined || !accepted.includes(encoding)) continue;
    headers.set("Content-Encoding", encoding);
    return new Response(body, { headers });
  }
  return new Response(file.plain, { headers });
}

async function readAll(webDir: string): Promise<Map<string, DashboardFile>> {
  const names = readdirSync(webDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const entries = names.map(async (entry): Promise<[string, DashboardFile]> => {
    const file = join(entry.parentPath, entry.name);
    const path = `/${file.slice(webDir.length).replace(/^\/+/, "")}`;
    return [path, await readOne(file, path)];
  });
  return new Map(await Promise.all(entries));
}

async function readOne(file: string, path: string): Promise<DashboardFile> {
  const plain = Buffer.from(readFileSync(file));
  const extension = extname(file).toLowerCase();
  const compress = COMPRESSED.has(extension) && plain.length > 1024;
  return {
    type: TYPES[extension] ?? "application/octet-stream",
    etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`,
    hashed: path.startsWith(HASHED_FOLDER),
    plain,
    br: compress ? await brotli(plain) : undefined,
    gzip: compress ? Buffer.from(await promisify(gzip)(plain, { level: 9 })) : undefined,
  };
}

/** Quality 9: within two percent of the best at a tenth of the time, because this runs at every start. */
async function brotli(plain: Buffer): Promise<Buffer<ArrayBuffer>> {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  return Buffer.from(await promisify(brotliCompress)(plain, { params }));
}
