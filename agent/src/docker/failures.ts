/** What Docker's own errors mean in our codes. */
import { AppError, isAppError, messageOf } from "@dflow/protocol";

const DISCONNECTED = new Set(["ECONNREFUSED", "ENOENT", "EACCES", "ECONNRESET", "EPIPE", "ETIMEDOUT"]);

/** The HTTP status of Docker's answer, where there was one. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : undefined;
}

/** Docker's own sentence, without the client library's wrapping. */
export function wordsOf(error: unknown): string {
  return messageOf(error)
    .replace(/^\(HTTP code \d+\) [^-]* - /, "")
    .trim()
    .slice(0, 2_000);
}

export function dockerFailure(what: string, error: unknown): unknown {
  if (isAppError(error)) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (DISCONNECTED.has(code)) {
    return new AppError("docker_unavailable", `${what}: Docker does not answer (${code})`, {
      hint: "Check on the server that the Docker engine runs: systemctl status docker.",
      cause: error,
    });
  }
  const words = wordsOf(error);
  if (/no space left on device|disk quota exceeded/i.test(words)) {
    return new AppError("disk_full", `${what}: ${words}`, {
      hint: "Free space on the server's disk, for example with: docker system df.",
      cause: error,
    });
  }
  return new AppError("docker_failed", `${what}: ${words}`, { cause: error });
}

/** Registries answer in prose; these are the sentences of Docker Hub, distribution and the engine itself. */
export function pullFailure(reference: string, error: unknown): unknown {
  if (isAppError(error)) return error;
  const failure = dockerFailure(`pull image ${reference}`, error);
  if (isAppError(failure) && failure.code !== "docker_failed") return failure;
  const words = wordsOf(error);
  const message = `pull image ${reference}: the registry answered: ${words}`;
  if (/unauthorized|authentication required|access denied|no basic auth|\bdenied\b|\b401\b|\b403\b/i.test(words)) {
    return new AppError("image_unauthorized", message, {
      hint: "The image is private or its name is wrong. Pull it on the server yourself (docker login, docker pull), or correct the name.",
      cause: error,
    });
  }
  if (/manifest unknown|not found|does not exist|no such image|invalid reference/i.test(words)) {
    return new AppError("image_not_found", message, { hint: "Check the image's name and tag.", cause: error });
  }
  return new AppError("image_pull_failed", message, {
    hint: "Check that the server reaches the registry, then try again.",
    cause: error,
  });
}
