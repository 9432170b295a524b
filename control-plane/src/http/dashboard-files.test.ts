import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startApi, type TestApi } from "../testing/api.ts";
import { tempFolder } from "../testing/temp-folder.ts";

const INDEX = "<!doctype html><title>dFlow</title>";
const SCRIPT = `console.log("${"dashboard ".repeat(500)}");`;

let api: TestApi;
beforeEach(async () => {
  const webDir = tempFolder("web");
  mkdirSync(join(webDir, "assets"));
  writeFileSync(join(webDir, "index.html"), INDEX);
  writeFileSync(join(webDir, "assets", "index-4f3a.js"), SCRIPT);
  writeFileSync(join(webDir, "favicon.svg"), "<svg/>");
  api = await startApi({ webDir });
});
afterEach(() => api.close());

const get = (path: string, headers: Record<string, string> = {}) => api.send("GET", path, { headers });

test("every address that a page can have is the dashboard, never from a cache unasked", async () => {
  for (const path of ["/", "/servers/some-id", "/invite", "/index.html"]) {
    const response = await get(path);
    expect([path, response.status, await response.text()]).toEqual([path, 200, INDEX]);
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("content-security-policy")).toContain("script-src 'self'");
  }
});

test("addresses of the API and of agents are never the dashboard", async () => {
  for (const path of ["/api", "/api/v1/nothing", "/agent/v1", "/agent/v1/nothing"]) {
    const response = await get(path);
    expect([path, response.headers.get("content-type")]).toEqual([path, "application/problem+json"]);
  }
  expect((await api.send("POST", "/")).status).toBe(404);
});

test("what carries its hash in its name is kept for ever, and compressed as the browser can take it", async () => {
  const plain = await get("/assets/index-4f3a.js");
  expect(await plain.text()).toBe(SCRIPT);
  expect(plain.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  expect(plain.headers.get("vary")).toBe("Accept-Encoding");
  const br = await get("/assets/index-4f3a.js", { "accept-encoding": "gzip, deflate, br" });
  expect(br.headers.get("content-encoding")).toBe("br");
  expect(brotliDecompressSync(Buffer.from(await br.arrayBuffer())).toString()).toBe(SCRIPT);
  const gzip = await get("/assets/index-4f3a.js", { "accept-encoding": "gzip" });
  expect(gunzipSync(Buffer.from(await gzip.arrayBuffer())).toString()).toBe(SCRIPT);
});

test("an asset that is gone is 404, not a page in a script's place", async () => {
  expect((await get("/assets/index-0000.js")).status).toBe(404);
});

test("no path leads out of the folder", async () => {
  for (const path of ["/../keys/sealing.json", "/%2e%2e/keys/sealing.json", "/assets/..%2f..%2fetc/passwd"]) {
    const text = await (await get(path)).text();
    expect([path, text.includes("root:") || text.includes('"key"')]).toEqual([path, false]);
  }
});

test("what the browser has already is not sent again", async () => {
  const etag = (await get("/favicon.svg")).headers.get("etag") ?? "";
  const again = await get("/favicon.svg", { "if-none-match": etag });
  expect([again.status, await again.text()]).toEqual([304, ""]);
});
