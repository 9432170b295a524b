/** How a database's credentials follow from its engine, name and password. Built by a URL library, never by text replacement. */
import type { EngineEntry } from "./engines.ts";

export interface Credentials {
  uri: string;
  username: string;
  password: string;
  host: string;
  port: number;
  database: string;
}

/** The database's name inside the engine: the service's name with `-` as `_`. */
export function databaseName(serviceName: string): string {
  return serviceName.replaceAll("-", "_");
}

export function credentialsOf(engine: EngineEntry, serviceName: string, password: string): Credentials {
  const database = databaseName(serviceName);
  // WHATWG URL drops setters on unknown schemes without a host, so the URL starts complete and gets its parts after.
  const url = new URL(`${engine.urlScheme}://${serviceName}:${engine.port}/`);
  url.username = engine.username;
  url.password = password;
  url.pathname = `/${database}`;
  return { uri: url.href, username: engine.username, password, host: serviceName, port: engine.port, database };
}

/** What a person can copy, each built from the same parts. */
export type CredentialFormat = "uri" | "env" | "psql" | "jdbc";
export const CREDENTIAL_FORMATS: readonly { id: CredentialFormat; label: string }[] = [
  { id: "uri", label: "URI" },
  { id: "env", label: ".env" },
  { id: "psql", label: "psql" },
  { id: "jdbc", label: "JDBC" },
];

export function formatCredentials(credentials: Credentials, format: CredentialFormat): string {
  const { uri, username, password, host, port, database } = credentials;
  switch (format) {
    case "uri":
      return uri;
    case "env":
      return [
        `DATABASE_URL=${uri}`,
        `PGHOST=${host}`,
        `PGPORT=${port}`,
        `PGUSER=${username}`,
        `PGPASSWORD=${password}`,
        `PGDATABASE=${database}`,
      ].join("\n");
    case "psql":
      return `psql '${uri}'`;
    case "jdbc": {
      const query = new URLSearchParams({ user: username, password });
      return `jdbc:postgresql://${host}:${port}/${database}?${query}`;
    }
  }
}
