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
  url.username = percentEncode(engine.username);
  url.password = percentEncode(password);
  url.pathname = `/${percentEncode(database)}`;
  return { uri: url.href, username: engine.username, password, host: serviceName, port: engine.port, database };
}

/** Encodes all but `A-Z a-z 0-9 - . _ ~`. The URL setters alone would leave a `%` as it is, and a parser would misread it. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
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
