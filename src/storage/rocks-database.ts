import binding, {
  type RocksColumns,
  type RocksHandle,
  type RocksReadOptions,
  type RocksRows,
} from "@nxtedition/rocksdb/binding.js";
import { assert, present } from "../lib/assert.ts";
import { COLUMNS, type Column, type Database, type Row, type ScanRange, type WriteBatchBytes } from "../node/ports.ts";
import { folderBytes } from "./folder-bytes.ts";
import { READ_CHUNK_ROWS, SCAN_BYTES_MAX, SCAN_ROWS_MAX } from "./limits.ts";
import { StorageError, toStorageError } from "./storage-error.ts";
import type { ReadOperation, StorageGauges, StorageMetrics } from "./storage-metrics.ts";
import type { WriteQueue } from "./write-queue.ts";

/** What an operator or a metrics page asks of the database. */
export interface DatabaseAdmin {
  /** Bytes of all files of the storage folder. */
  diskBytes(): Promise<number>;
  /** Cheap enough for every scrape. */
  gauges(): StorageGauges;
  /** Why writes are refused, or null while they are accepted. */
  failure(): StorageError | null;
}

export interface OpenParts {
  readonly path: string;
  readonly database: RocksHandle;
  readonly columns: RocksColumns;
  readonly queue: WriteQueue;
  readonly metrics: StorageMetrics;
  /** The reason is null when the database closed in order. */
  readonly onClosed: (reason: unknown) => void;
}

/**
 * The `Database` over RocksDB. Reads run on the calling thread: for the few keys that consensus asks for, the hop to a
 * thread pool costs more than the read; and this package's asynchronous `getMany` throws a corrupt block as an uncaught
 * error that no promise sees. Long reads come in chunks with turns of the event loop in between.
 */
export class RocksDatabase implements Database, DatabaseAdmin {
  readonly #parts: OpenParts;
  readonly #readOptions: ReadonlyMap<Column, RocksReadOptions>;
  #readsInFlight = 0;
  #onIdle: (() => void) | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: OpenParts) {
    this.#parts = parts;
    this.#readOptions = new Map(
      COLUMNS.map((name) => {
        const column = present(parts.columns[name], `the handle of column ${name}`);
        return [name, { column, keyEncoding: "buffer", valueEncoding: "buffer" }];
      }),
    );
  }

  write(batch: WriteBatchBytes): Promise<void> {
    if (this.#closing !== null) return Promise.reject(this.#closedError());
    return this.#parts.queue.write(batch);
  }

  async get(column: Column, key: Uint8Array): Promise<Uint8Array | undefined> {
    const [value] = await this.#read("get", column, () => this.#getMany(column, [key]));
    return value;
  }

  getMany(column: Column, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#read("get-many", column, () => this.#getMany(column, keys));
  }

  scan(column: Column, range: ScanRange): Promise<readonly Row[]> {
    assert(Number.isSafeInteger(range.limit) && range.limit >= 0, `a scan's limit from 0 on, not ${range.limit}`);
    assert(range.limit <= SCAN_ROWS_MAX, `a scan of at most ${SCAN_ROWS_MAX} rows, not ${range.limit}`);
    return this.#read("scan", column, async () => {
      const options = { ...this.#optionsOf(column), ...range };
      if (range.limit === 0) return [];
      if (range.limit <= READ_CHUNK_ROWS) return toRows(binding.db_query(this.#parts.database, options));
      return this.#scanInChunks(column, binding.iterator_init(this.#parts.database, options));
    });
  }

  async diskBytes(): Promise<number> {
    const { path } = this.#parts;
    return folderBytes(path).catch((error: unknown) => {
      throw toStorageError(error, "measure the storage folder", { path });
    });
  }

  gauges(): StorageGauges {
    if (this.#closing !== null) throw this.#closedError();
    return {
      writeStopped: this.#property("is-write-stopped") !== 0,
      delayedWriteBytesPerSecond: this.#property("actual-delayed-write-rate"),
      runningCompactions: this.#property("num-running-compactions"),
      runningFlushes: this.#property("num-running-flushes"),
      backgroundErrors: this.#property("background-errors"),
      pendingWrites: this.#parts.queue.pendingWrites,
      pendingBytes: this.#parts.queue.pendingBytes,
    };
  }

  failure(): StorageError | null {
    return this.#parts.queue.failure;
  }

  /** Waits for accepted writes and running reads, then closes. Calls after the first answer the same promise. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { database, queue, path, onClosed } = this.#parts;
    // The thread must have ended before the database that it points to is gone.
    await queue.close();
    if (this.#readsInFlight > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    const error = await closeRocks(database, path).then(
      () => null,
      (reason: unknown) => reason,
    );
    onClosed(error);
    // After a failed write RocksDB also fails to close in order, and lets go of the folder all the same.
    if (error !== null && queue.failure === null) throw error;
  }

  async #getMany(column: Column, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    const values: (Uint8Array | undefined)[] = [];
    for (let from = 0; from < keys.length; from += READ_CHUNK_ROWS) {
      if (from > 0) await nextTurn();
      const chunk = keys.slice(from, from + READ_CHUNK_ROWS);
      for (const value of binding.db_get_many_sync(this.#parts.database, chunk, this.#optionsOf(column))) {
        if (value === null) throw new StorageError("io", "a read was cut short", { column, path: this.#parts.path });
        values.push(value === undefined ? undefined : plain(value));
      }
    }
    return values;
  }

  /** An iterator sees the database as it was when it was made, however many turns the scan takes. */
  async #scanInChunks(column: Column, iterator: RocksHandle): Promise<readonly Row[]> {
    const rows: Row[] = [];
    let bytes = 0;
    try {
      for (;;) {
        const chunk = await nextRows(iterator);
        for (const row of toRows(chunk)) {
          bytes += row.key.length + row.value.length;
          rows.push(row);
        }
        if (chunk.finished) return rows;
        if (bytes > SCAN_BYTES_MAX) {
          throw new StorageError("scan-too-large", `a scan gave more than ${SCAN_BYTES_MAX} bytes`, { column });
        }
      }
    } finally {
      binding.iterator_close(iterator);
    }
  }

  async #read<T extends readonly unknown[]>(
    operation: ReadOperation,
    column: Column,
    read: () => Promise<T>,
  ): Promise<T> {
    if (this.#closing !== null) throw this.#closedError();
    const startedMs = performance.now();
    this.#readsInFlight += 1;
    try {
      const rows = await read();
      this.#parts.metrics.onRead({
        operation,
        column,
        seconds: (performance.now() - startedMs) / 1000,
        rows: rows.length,
      });
      return rows;
    } catch (error) {
      throw toStorageError(error, "read", { column, path: this.#parts.path });
    } finally {
      this.#readsInFlight -= 1;
      if (this.#readsInFlight === 0) this.#onIdle?.();
    }
  }

  #optionsOf(column: Column): RocksReadOptions {
    return present(this.#readOptions.get(column), `a column named ${column}`);
  }

  /** RocksDB answers "" for what it does not know, and column figures only for `default`: these are of the whole database. */
  #property(name: string): number {
    return Number(binding.db_get_property(this.#parts.database, `rocksdb.${name}`));
  }

  #closedError(): StorageError {
    return new StorageError("closed", "the database is closed", { path: this.#parts.path });
  }
}

export function closeRocks(database: RocksHandle, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    binding.db_close(database, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(toStorageError(error, "close the database", { path }));
    });
  });
}

function nextRows(iterator: RocksHandle): Promise<RocksRows> {
  return new Promise((resolve, reject) => {
    binding.iterator_nextv(iterator, READ_CHUNK_ROWS, (error, rows) => {
      if (error === null) resolve(rows);
      else reject(error);
    });
  });
}

function toRows({ rows }: RocksRows): Row[] {
  const pairs: Row[] = [];
  for (let index = 0; index < rows.length; index += 2) {
    const key = present(rows[index], "a row's key");
    const value = present(rows[index + 1], "a row's value");
    pairs.push({ key: plain(key), value: plain(value) });
  }
  return pairs;
}

/** The module's Buffers are copies of their own; as plain arrays their `slice` copies too, as callers expect. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
