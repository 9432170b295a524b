/** The API's document, OpenAPI 3.1, made from the routes themselves. */
import type { ApiRouter } from "./router.ts";

export function registerSecurity(app: ApiRouter): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "session", {
    type: "apiKey",
    in: "cookie",
    name: "dflow.session_token",
    description: "The dashboard's session. Changes are taken from our own origin only.",
  });
  app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", {
    type: "http",
    scheme: "bearer",
    description: "An API key (`dfk_…`): a role in one workspace, until a day.",
  });
}

export function apiDocument(app: ApiRouter) {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "dFlow API",
      version: "1",
      description:
        "Databases on your own servers. Every error is an RFC 9457 problem document whose `code` is from a closed list.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/", description: "This control plane" }],
    security: [{ session: [] }, { apiKey: [] }],
    tags: [
      { name: "Session" },
      { name: "Workspaces" },
      { name: "Members" },
      { name: "API keys" },
      { name: "Servers" },
      { name: "Applications" },
      { name: "Environments" },
      { name: "Services" },
      { name: "Operations" },
      { name: "Engines" },
      { name: "Events" },
    ],
  });
}
