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
import { createSharedSync, type SharedSync } from "./shared-sync.ts";

/** The root connection. Store functions take a `Conn`, so that one function serves inside and outside a transaction. */
export type Db = Kysely<Database>;
export type Trx = Transaction<Database>;
export type Conn = Db | Trx;

interface Scope {
  open: boolean;
}

/** The kernel's word that a file is on the disk. */
export interface DiskSync {
  /** Opens the file; never called twice at a time. Resolves when all that was written to it before is on the disk. */
  sync(path: string): Promise<void>;
  /** Lets go of the file. */
  close(): Promise<void>;
}

/**
 * `file` is a path, or ":memory:" for a test that needs no file. Whichever way, a write that has resolved is on the disk.
 * Without `disk` SQLite waits for it at each commit and everything else with it. With `disk` the process goes on
 * meanwhile, the next transaction included, and those who wrote in that time share one fsync. So a read may show what is
 * not on the disk for another moment; a power cut in that moment takes it back, and nobody was told that it was done.
 */
export function createDatabase(file: string, crashPoint?: CrashPoint, disk?: DiskSync): Db {
  return new GuardedKysely(file, crashPoint, disk);
}

class GuardedKysely extends Kysely<Database> {
  readonly #scope: AsyncLocalStorage<Scope>;

  constructor(file: string, crashPoint: CrashPoint | undefined, disk: DiskSync | undefined) {
    const scope = new AsyncLocalStorage<Scope>();
    super({ dialect: new OneConnectionDialect(file, scope, crashPoint, disk) });
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
  readonly #disk: DiskSync | undefined;

  constructor(
    file: string,
    scope: AsyncLocalStorage<Scope>,
    crashPoint: CrashPoint | undefined,
    disk: DiskSync | undefined,
  ) {
    super({ database: () => Promise.reject(new Error("opened by the driver")) });
    this.#file = file;
    this.#scope = scope;
    this.#crashPoint = crashPoint;
    this.#disk = disk;
  }

  override createAdapter(): SqliteAdapter {
    return new LockedByDriverAdapter();
  }

  override createDriver(): Driver {
    return new OneConnectionDriver(this.#file, this.#scope, this.#crashPoint, this.#disk);
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

/** One holder's time on the connection. */
interface Turn {
  inTransaction: boolean;
  wrote: boolean;
  /** The connection is another's already; only the disk is waited for. */
  over: boolean;
}

class OneConnectionDriver extends SqliteDriver {
  readonly #scope: AsyncLocalStorage<Scope>;
  readonly #writes: MarkedWrites | undefined;
  readonly #disk: DiskSync | undefined;
  readonly #sync: SharedSync | undefined;
  readonly #turns = new WeakMap<DatabaseConnection, Turn>();
  #turn: Turn | undefined;
  #busy = false;
  readonly #waiting: (() => void)[] = [];
  readonly #opened: { sqlite?: BetterSqlite3.Database };

  constructor(
    file: string,
    scope: AsyncLocalStorage<Scope>,
    crashPoint: CrashPoint | undefined,
    disk: DiskSync | undefined,
  ) {
    const opened: { sqlite?: BetterSqlite3.Database } = {};
    super({
      database: async () => {
        opened.sqlite = open(file, disk === undefined ? "FULL" : "NORMAL");
        return withKeptStatements(opened.sqlite, () => {
          if (this.#turn !== undefined) this.#turn.wrote = true;
        });
      },
    });
    this.#opened = opened;
    this.#scope = scope;
    this.#writes = crashPoint && createMarkedWrites(crashPoint);
    this.#disk = disk;
    // What was committed stands in the log beside the file; what moves it into the file makes that durable by itself.
    this.#sync = disk && createSharedSync(() => disk.sync(`${file}-wal`));
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#scope.getStore()?.open === true) {
      throw new Error("the root connection was used inside a transaction; pass the transaction to the store function");
    }
    if (this.#busy) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy = true;
    const turn: Turn = { inTransaction: false, wrote: false, over: false };
    this.#turn = turn;
    const connection = this.#inTurn(await super.acquireConnection(), turn);
    const marked = this.#writes?.mark(connection) ?? connection;
    this.#turns.set(marked, turn);
    return marked;
  }

  #inTurn(connection: DatabaseConnection, turn: Turn): DatabaseConnection {
    return {
      streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
      executeQuery: async <R>(query: CompiledQuery) => {
        if (turn.over) throw new Error("the connection was used after its write; use a transaction for more than one");
        const result = await connection.executeQuery<R>(query);
        if (!turn.inTransaction) await this.#onDisk(turn);
        return result;
      },
    };
  }

  /** Who only waits for the disk holds up nobody else. */
  async #onDisk(turn: Turn): Promise<void> {
    if (this.#sync === undefined || !turn.wrote) return;
    turn.over = true;
    this.#giveOn();
    await this.#sync.synced();
  }

  #giveOn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy = false;
    else next();
  }

  override async releaseConnection(connection?: DatabaseConnection): Promise<void> {
    if (!this.#turnOf(connection).over) this.#giveOn();
  }

  #turnOf(connection: DatabaseConnection | undefined): Turn {
    const turn = connection && this.#turns.get(connection);
    if (turn === undefined) throw new Error("a connection that was not given out here");
    return turn;
  }

  /** `immediate`: a second process (bootstrap) then waits at the start instead of failing in the middle. */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    this.#turnOf(connection).inTransaction = true;
    await connection.executeQuery(CompiledQuery.raw(BEGIN));
    this.#writes?.begin();
  }

  override async commitTransaction(connection: DatabaseConnection): Promise<void> {
    const commit = async () => {
      await super.commitTransaction(connection);
      await this.#onDisk(this.#turnOf(connection));
    };
    await (this.#writes === undefined ? commit() : this.#writes.commit(commit));
  }

  /** On a full disk SQLite has rolled back by itself; to do it again is an error, which would hide the reason. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // It was committed, and only the disk has failed: what is open now is another's.
    if (this.#turnOf(connection).over) return;
    this.#writes?.rollBack();
    if (this.#opened.sqlite?.inTransaction === true) await super.rollbackTransaction(connection);
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    await this.#disk?.close();
  }
}

const BEGIN = "begin immediate";

/** More than there are statements in the code; a list of ids gives as many as it has lengths. */
const STATEMENTS_MAX = 500;

/** SQLite compiles each statement once instead of at every use. Where a schema changes it compiles again by itself. */
function withKeptStatements(
  sqlite: BetterSqlite3.Database,
  onWrite: () => void,
): Pick<BetterSqlite3.Database, "prepare" | "close"> {
  const kept = new Map<string, BetterSqlite3.Statement>();
  /** Each is run right after it was asked for. SQLite calls a transaction's begin a write, and it is none. */
  const prepare = (sql: string) => {
    const statement = kept.get(sql) ?? keep(sql);
    if (!statement.readonly && sql !== BEGIN) onWrite();
    return statement;
  };
  const keep = (sql: string) => {
    const [oldest] = kept.keys();
    if (kept.size >= STATEMENTS_MAX && oldest !== undefined) kept.delete(oldest);
    const statement = sqlite.prepare(sql);
    kept.set(sql, statement);
    return statement;
  };
  return { prepare: prepare as BetterSqlite3.Database["prepare"], close: () => sqlite.close() };
}

function open(file: string, synchronous: "FULL" | "NORMAL"): BetterSqlite3.Database {
  const sqlite = new BetterSqlite3(file);
  sqlite.pragma("journal_mode = WAL");
  sqlite.pragma(`synchronous = ${synchronous}`);
  sqlite.pragma("foreign_keys = ON");
  sqlite.pragma("busy_timeout = 5000");
  return sqlite;
}
