import { describe, expect, it } from "vitest";
import { credentialsOf, formatCredentials } from "./credentials.ts";
import { ENGINES, engineVersions } from "./engines.ts";
import { displayNameSchema, serviceNameProblem } from "./ids.ts";

const postgres = ENGINES.postgres;

describe("service names", () => {
  const REFUSED: [name: string, why: RegExp][] = [
    ["", /Give/],
    ["a".repeat(32), /32 characters; 31/],
    ["Orders", /lowercase/],
    ["1db", /start with a letter/],
    ["db-", /end with/],
    ["-db", /start with/],
    ["db_1", /hyphens/],
    ["dätä", /lowercase/],
    ["db name", /lowercase/],
    ["db\n", /lowercase/],
    ["localhost", /reserved/],
    ["postgres", /reserved/],
    ["template1", /reserved/],
  ];
  it.each(REFUSED)("refuses %j", (name, why) => {
    expect(serviceNameProblem(name, postgres.reservedNames)).toMatch(why);
  });

  it.each(["a", "orders-db", "a".repeat(31), "x1"])("takes %j", (name) => {
    expect(serviceNameProblem(name, postgres.reservedNames)).toBeUndefined();
  });
});

describe("credentials", () => {
  const credentials = credentialsOf(postgres, "orders-db", "Ab5432Cd");

  it("follow from engine, name and password", () => {
    expect(credentials).toEqual({
      uri: "postgres://postgres:Ab5432Cd@orders-db:5432/orders_db",
      username: "postgres",
      password: "Ab5432Cd",
      host: "orders-db",
      port: 5432,
      database: "orders_db",
    });
  });

  it("keep a password that holds the port's digits or the URL's signs intact", () => {
    const odd = credentialsOf(postgres, "db", "p5432@/:?#%");
    expect(decodeURIComponent(new URL(odd.uri).password)).toBe("p5432@/:?#%");
    expect(new URL(odd.uri).port).toBe("5432");
  });

  it("are said in the format that a tool takes", () => {
    expect(formatCredentials(credentials, "jdbc")).toBe(
      "jdbc:postgresql://orders-db:5432/orders_db?user=postgres&password=Ab5432Cd",
    );
    expect(formatCredentials(credentials, "env")).toContain("PGDATABASE=orders_db");
    expect(formatCredentials(credentials, "psql")).toBe(`psql '${credentials.uri}'`);
  });
});

describe("display names", () => {
  it.each(["Läden", "データ", "👩‍💻 lab", "نام‌ها"])("take %j", (name) => {
    expect(displayNameSchema.parse(` ${name} `)).toBe(name);
  });

  it.each(["a\nb", "a\u0085b", "a\u2028b", "a\u202eb", "a\u2066b", "a\ud800"])("refuse %j", (name) => {
    expect(displayNameSchema.safeParse(name).success).toBe(false);
  });
});

describe("an image map", () => {
  it("replaces an image of the catalogue and adds a version to it", () => {
    const versions = engineVersions(postgres, {
      postgres: { "17": { image: "mine/postgres:17", standIn: true }, "14": { image: "mine/postgres:14" } },
    });
    expect(versions.map(({ version }) => version)).toEqual(["18", "17", "16", "15", "14"]);
    expect(versions[1]).toEqual({ version: "17", image: "mine/postgres:17", standIn: true });
    expect(versions[0]?.image).toBe("postgres:18-trixie");
  });
});
