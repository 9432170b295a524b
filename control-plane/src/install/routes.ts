/** What the line of "Add server" fetches: the installer with this control plane's address in it, and the agent's archives. */
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
import { type ApiRouter, createRouter } from "../http/router.ts";
import { DOWNLOADS, hasInstaller, INSTALLER, withAddress } from "./release.ts";

/** A server asks three times; behind one address there may be a rack of them. */
const PER_ADDRESS = { limit: 240, windowMs: 60_000 } as const;

export function createInstallRoutes({ config, clock }: Pick<Deps, "config" | "clock">): ApiRouter {
  const perAddress = createRateLimiter(PER_ADDRESS, clock);
  const router = createRouter();

  const found = (name: string): string => {
    const path = join(config.releaseDir ?? "", name);
    if (hasInstaller(config) && existsSync(path)) return path;
    throw new AppError("not_found", `This control plane has no ${name}.`, {
      hint: "On its machine, in dFlow's folder, run scripts/archive.",
    });
  };

  router.get(`/${INSTALLER}`, (c) => {
    perAddress.take(c.var.clientAddress);
    const script = withAddress(readFileSync(found(INSTALLER), "utf8"), config.publicUrl);
    return c.body(script, 200, { "Content-Type": "text/x-shellscript; charset=utf-8", "Cache-Control": "no-cache" });
  });

  router.get("/install/:file", (c) => {
    perAddress.take(c.var.clientAddress);
    const name = c.req.param("file");
    if (!DOWNLOADS.has(name)) throw new AppError("not_found", `There is nothing at ${c.req.path}.`);
    const path = found(name);
    const headers = {
      "Content-Type": name.endsWith(".sha256") ? "text/plain; charset=utf-8" : "application/x-xz",
      "Content-Length": String(statSync(path).size),
      "Cache-Control": "no-cache",
    };
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    return c.body(Readable.toWeb(createReadStream(path)) as ReadableStream, 200, headers);
  });
  return router;
}
