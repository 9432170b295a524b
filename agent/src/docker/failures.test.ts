import { expect, test } from "vitest";
import { dockerFailure, pullFailure } from "./failures.ts";

const http = (statusCode: number, words: string) =>
  Object.assign(new Error(`(HTTP code ${statusCode}) unexpected - ${words} `), { statusCode });

test("tells the registry's answers apart and repeats their words", () => {
  const cases: [Error, string][] = [
    [
      http(404, "pull access denied for x, repository does not exist or may require 'docker login': denied"),
      "image_unauthorized",
    ],
    [http(500, "Head https://r.example/v2/x/manifests/1: unauthorized: authentication required"), "image_unauthorized"],
    [http(500, "Head https://r.example/v2/x/manifests/1: no basic auth credentials"), "image_unauthorized"],
    [http(404, "manifest for x:1 not found: manifest unknown: manifest unknown"), "image_not_found"],
    [http(500, "Get https://r.example/v2/: dial tcp: lookup r.example: no such host"), "image_pull_failed"],
    [new Error("unexpected EOF"), "image_pull_failed"],
    [new Error("failed to register layer: write /x: no space left on device"), "disk_full"],
    [Object.assign(new Error("connect ENOENT /var/run/docker.sock"), { code: "ENOENT" }), "docker_unavailable"],
  ];
  for (const [error, code] of cases) expect(pullFailure("x:1", error)).toMatchObject({ code });
  expect(pullFailure("x:1", cases[3]?.[0])).toMatchObject({
    message: "pull image x:1: the registry answered: manifest for x:1 not found: manifest unknown: manifest unknown",
  });
});

test("says what was being done when Docker refuses", () => {
  expect(dockerFailure("start container c", http(500, "no such device"))).toMatchObject({
    code: "docker_failed",
    message: "start container c: no such device",
  });
});
