import { expect, test } from "vitest";
import { loadEnrolment, loadSettings, parseControlPlaneUrl } from "./config.ts";
import type { Files } from "./deps.ts";

const files = (content: Record<string, string>) => ({ readText: (path: string) => content[path] }) as Files;

test("has sensible settings without a file", () => {
  expect(loadSettings(files({}), "/d")).toMatchObject({
    dockerSocket: "/var/run/docker.sock",
    networkRange: "10.218.0.0/16",
    observeMs: 10_000,
    concurrency: 4,
  });
});

test("names the file and the field that is wrong", () => {
  const load = (text: string) => () => loadSettings(files({ "/d/config.json": text }), "/d");
  expect(load('{"networkRange": "10.0.0.0"}')).toThrow('/d/config.json: "networkRange"');
  expect(load('{"readyTimeoutMs": "5 min"}')).toThrow('"readyTimeoutMs"');
  expect(load('{"reddyTimeoutMs": 5}')).toThrow("reddyTimeoutMs");
  expect(load("{")).toThrow("/d/config.json is not JSON");
});

test("knows whether a data folder is enrolled", () => {
  expect(loadEnrolment(files({}), "/d")).toBeUndefined();
  expect(() => loadEnrolment(files({ "/d/agent.json": '{"agentId": "x"}' }), "/d")).toThrow('"agentId"');
});

test("takes https, and http on this machine only", () => {
  expect(parseControlPlaneUrl("https://dflow.example/some/page")).toBe("https://dflow.example");
  expect(parseControlPlaneUrl("http://127.0.0.1:3000/")).toBe("http://127.0.0.1:3000");
  expect(parseControlPlaneUrl("http://[::1]:3000")).toBe("http://[::1]:3000");
  for (const bad of ["http://dflow.example", "ws://127.0.0.1", "http://127.0.0.1.example", "dflow", "https://u:p@x"]) {
    expect(() => parseControlPlaneUrl(bad)).toThrow();
  }
});
