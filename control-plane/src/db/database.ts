/** Opens the SQLite file. The only importer of the driver; everyone else sees Kysely. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { CrashPoint } from "@dflow/protocol";
import BetterSqlite3 from "better-sqlite3";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  SqliteAdapter,
  SqliteDialect,
  SqliteDriver,
  type Transaction,
  type TransactionBuilder,
} from "kysely";
import { createMarkedWrites, type MarkedWrites } from "./marked-writes.ts";
import type { Database } from "./schema.ts";

/** The root connection. Store functions take a `Conn`, so that one function serves inside and outside a transaction. */
export type Db = Kysely<Database>;
export type Trx = Transaction<Database>;
export type Conn = Db | Trx;

interface Scope {
  open: boolean;
}

/** `file` is a path, or ":memory:" for a test that needs no file. */
export function createDatabase(file: string, crashPoint?: CrashPoint): Db {
  return new GuardedKysely(file, crashPoint);
}

class GuardedKysely extends Kysely<Database> {
  readonly #scope: AsyncLocalStorage<Scope>;

  constructor(file: string, crashPoint: CrashPoint | undefined) {
    const scope = new AsyncLocalStorage<Scope>();
    super({ dialect: new OneConnectionDialect(file, scope, crashPoint) });
    this.#scope = scope;
  }

  override transaction(): TransactionBuilder<Database> {
    const builder = super.transaction();
    const execute = builder.execute.bind(builder);
    builder.execute = (work) =>
      execute(async (trx) => {
        const scope: Scope = { open: true };
        try {
          return await this.#scope.run(scope, () => work(trx));
        } finally {
          scope.open = false;
        }
      });
    return builder;
  }
}

/**
 * SQLite has one connection here. Kysely would wait for it before our driver is asked, so a query on the root inside a
 * transaction would wait for itself for ever; the lock is therefore ours, and that mistake is an error.
 */
class OneConnectionDialect extends SqliteDialect {
  readonly #file: string;
  readonly #scope: AsyncLocalStorage<Scope>;
  readonly #crashPoint: CrashPoint | undefined;

  constructor(file: string, scope: AsyncLocalStorage<Scope>, crashPoint: CrashPoint | undefined) {
    super({ database: () => Promise.reject(new Error("opened by the driver")) });
    this.#file = file;
    this.#scope = scope;
    this.#crashPoint = crashPoint;
  }

  override createAdapter(): SqliteAdapter {
    return new LockedByDriverAdapter();
  }

  override createDriver(): Driver {
    return new OneConnectionDriver(this.#file, this.#scope, this.#crashPoint);
  }
}

class LockedByDriverAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }

  /** Kysely says no for SQLite, and would leave half a migration where a process died or the disk was full. */
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class OneConnectionDriver extends SqliteDriver {
  readonly #scope: AsyncLocalStorage<Scope>;
  readonly #writes: MarkedWrites | undefined;
  #busy = false;
  readonly #waiting: (() => void)[] = [];
  readonly #opened: { sqlite?: BetterSqlite3.Database };

  constructor(file: string, scope: AsyncLocalStorage<Scope>, crashPoint: CrashPoint | undefined) {
    const opened: { sqlite?: BetterSqlite3.Database } = {};
    super({
      database: async () => {
        opened.sqlite = open(file);
        return withKeptStatements(opened.sqlite);
      },
    });
    this.#opened = opened;
    this.#scope = scope;
    this.#writes = crashPoint && createMarkedWrites(crashPoint);
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#scope.getStore()?.open === true) {
      throw new Error("the root connection was used inside a transaction; pass the transaction to the store function");
    }
    if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy = true;
    const connection = await super.acquireConnection();
    return this.#writes?.mark(connection) ?? connection;
  }

  override async releaseConnection(): Promise<void> {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else next();
  }

  /** `immediate`: a second process (bootstrap) then waits at the start instead of failing in the middle. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
    this.#writes?.begin();
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const commit = () => super.commitTransaction(connection);
    await (this.#writes === undefined ? commit() : this.#writes.commit(commit));
  }

  /** On a full disk SQLite has rolled back by itself; to do it again is an error, which would hide the reason. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    this.#writes?.rollBack();
    if (this.#opened.sqlite?.inTransaction === true) await super.rollbackTransaction(connection);
  }
}

/** More than there are statements in the code; a list of ids gives as many as it has lengths. */
const STATEMENTS_MAX = 500;

/** SQLite compiles each statement once instead of at every use. Where a schema changes it compiles again by itself. */
function withKeptStatements(sqlite: BetterSqlite3.Database): Pick<BetterSqlite3.Database, "prepare" | "close"> {
  const kept = new Map<string, BetterSqlite3.Statement>();
  const prepare = (sql: string) => {
    const known = kept.get(sql);
    if (known !== undefined) return known;
    const [oldest] = kept.keys();
    if (kept.size >= STATEMENTS_MAX && oldest !== undefined) kept.delete(oldest);
    const statement = sqlite.prepare(sql);
    kept.set(sql, statement);
    return statement;
  };
  return { prepare: prepare as BetterSqlite3.Database["prepare"], close: () => sqlite.close() };
}

function open(file: string): BetterSqlite3.Database {
  const sqlite = new BetterSqlite3(file);
  sqlite.pragma("journal_mode = WAL");
  sqlite.pragma("synchronous = FULL");
  sqlite.pragma("foreign_keys = ON");
  sqlite.pragma("busy_timeout = 5000");
  return sqlite;
}
