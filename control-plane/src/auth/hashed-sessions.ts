/**
 * Keeps sessions by the SHA-256 of their token, so that a copy of the database signs nobody in. better-auth has no such
 * option: it is given an adapter that hashes on the way in, and gives the asker back the token that it asked with.
 */
import type { BetterAuthPlugin, DBAdapter, DBTransactionAdapter, Where } from "better-auth";
import { secretHash } from "./api-key.ts";

type Fields = Record<string, unknown>;

export function hashedSessions(): BetterAuthPlugin {
  return { id: "hashed-sessions", init: ({ adapter }) => ({ context: { adapter: hashing(adapter) } }) };
}

function hashing(adapter: DBAdapter): DBAdapter {
  return {
    ...hashingQueries(adapter),
    transaction: (work) => adapter.transaction((trx) => work(hashingQueries(trx))),
  };
}

/** Each verb that better-auth has, none forwarded unseen: one that is new to the type does not compile. */
function hashingQueries(adapter: DBTransactionAdapter): DBTransactionAdapter {
  const inside = <Q extends { model: string; where?: Where[] | undefined }>(query: Q): Q =>
    query.model !== "session" || query.where === undefined ? query : { ...query, where: query.where.map(hashedWhere) };
  const asAsked = <R>(query: { model: string; where?: Where[] | undefined }, row: R): R =>
    query.model === "session" ? withToken(row, tokensIn(query.where ?? [])) : row;
  const changed = (model: string, fields: Fields): Fields => (model === "session" ? hashedToken(fields) : fields);

  return {
    id: adapter.id,
    ...(adapter.options === undefined ? {} : { options: adapter.options }),
    ...(adapter.createSchema === undefined ? {} : { createSchema: adapter.createSchema }),
    async create<T extends Fields, R = T>(query: Parameters<typeof adapter.create<T, R>>[0]): Promise<R> {
      const data = changed(query.model, query.data) as typeof query.data;
      const row = await adapter.create<T, R>({ ...query, data });
      return query.model === "session" ? withToken(row, textsOf((query.data as Fields).token)) : row;
    },
    findOne: async <T>(query: Parameters<typeof adapter.findOne>[0]) =>
      asAsked(query, await adapter.findOne<T>(inside(query))),
    findMany: async <T>(query: Parameters<typeof adapter.findMany>[0]) =>
      (await adapter.findMany<T>(inside(query))).map((row) => asAsked(query, row)),
    count: (query) => adapter.count(inside(query)),
    update: async <T>(query: Parameters<typeof adapter.update>[0]) =>
      asAsked(query, await adapter.update<T>({ ...inside(query), update: changed(query.model, query.update) })),
    updateMany: (query) => adapter.updateMany({ ...inside(query), update: changed(query.model, query.update) }),
    delete: (query) => adapter.delete(inside(query)),
    deleteMany: (query) => adapter.deleteMany(inside(query)),
    consumeOne: async <T>(query: Parameters<typeof adapter.consumeOne>[0]) =>
      asAsked(query, await adapter.consumeOne<T>(inside(query))),
    incrementOne: async <T>(query: Parameters<typeof adapter.incrementOne>[0]) =>
      asAsked(query, await adapter.incrementOne<T>(inside(query))),
  };
}

function hashedWhere(condition: Where): Where {
  if (condition.field !== "token") return condition;
  const { value } = condition;
  if (typeof value === "string") return { ...condition, value: secretHash(value) };
  return Array.isArray(value) ? { ...condition, value: textsOf(value).map(secretHash) } : condition;
}

function hashedToken(fields: Fields): Fields {
  return typeof fields.token === "string" ? { ...fields, token: secretHash(fields.token) } : fields;
}

/** better-auth writes the cookie anew from a row that it was given, so the row has to name the token and not its hash. */
function withToken<R>(row: R, asked: readonly string[]): R {
  if (typeof row !== "object" || row === null || !("token" in row)) return row;
  const token = asked.find((text) => secretHash(text) === row.token);
  return token === undefined ? row : { ...row, token };
}

function tokensIn(where: readonly Where[]): string[] {
  return where.filter(({ field }) => field === "token").flatMap(({ value }) => textsOf(value));
}

function textsOf(value: unknown): string[] {
  return [value].flat().filter((text) => typeof text === "string");
}
