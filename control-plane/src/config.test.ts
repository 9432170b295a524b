import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, parseConfig } from "./config.ts";
import { tempFolder } from "./testing/temp-folder.ts";

const parse = (raw: unknown) => parseConfig(raw, { dataDir: "/data" });

test("without a file everything stays on this machine", () => {
  expect(parse({})).toMatchObject({
    dataDir: "/data",
    listen: { host: "127.0.0.1", port: 3100 },
    publicUrl: "http://127.0.0.1:3100",
    imageMap: {},
    webDir: undefined,
  });
  expect(parse({ listen: { host: "::1", port: 80 } }).publicUrl).toBe("http://[::1]");
});

test("a limit that is named changes nothing about the others", () => {
  const { limits } = parse({ limits: { signInsPerMinute: 5 } });
  expect(limits).toMatchObject({ signInsPerMinute: 5, requestsPerMinute: 3_000, connectionsPerAddress: 512 });
  expect([1, 2]).toContain(limits.passwordsAtOnce);
});

describe("an address that others reach", () => {
  test.each(["0.0.0.0", "::", "192.168.1.5", "10.0.0.1"])("%s needs https", (host) => {
    expect(() => parse({ listen: { host } })).toThrow("publicUrl must be set");
    expect(() => parse({ listen: { host }, publicUrl: "http://db.example.org" })).toThrow("https://");
    expect(parse({ listen: { host }, publicUrl: "https://db.example.org/" }).publicUrl).toBe("https://db.example.org");
  });
});

test.each([
  [{ listen: { port: 0 } }, "listen.port"],
  [{ listen: { port: "3100" } }, "listen.port"],
  [{ publicUrl: "db.example.org" }, "publicUrl"],
  [{ trustedProxies: ["not an address"] }, "trustedProxies.0"],
  [{ limits: { connections: 0 } }, "limits.connections"],
  [{ limits: { requests: 5 } }, "limits"],
  [{ logLevel: "loud" }, "logLevel"],
  [{ colour: "blue" }, "colour"],
  [7, "file"],
])("what is wrong is named: %j", (raw, field) => {
  expect(() => parse(raw)).toThrow(field);
});

test("a file is read with its paths beside it, and a broken one is named", () => {
  const dir = tempFolder("config");
  writeFileSync(join(dir, "images.json"), JSON.stringify({ postgres: { "17": { image: "local/pg:17" } } }));
  writeFileSync(join(dir, "config.json"), JSON.stringify({ imageMap: "images.json" }));
  const config = loadConfig({ dataDir: dir, file: join(dir, "config.json") });
  expect(config.imageMap.postgres?.["17"]?.image).toBe("local/pg:17");
  writeFileSync(join(dir, "broken.json"), "{");
  expect(() => loadConfig({ dataDir: dir, file: join(dir, "broken.json") })).toThrow("broken.json");
  expect(() => loadConfig({ dataDir: dir, file: join(dir, "none.json") })).toThrow("none.json");
});
