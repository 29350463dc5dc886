import { assert, present } from "../lib/assert.ts";
import { COLUMNS, type Column, type Database, type Row, type ScanRange, type WriteBatchBytes } from "../node/ports.ts";
import { forEachWrite } from "../node/write-batch.ts";
import { SCAN_ROWS_MAX } from "./limits.ts";
import { StorageError } from "./storage-error.ts";
import { takeBytes } from "./write-ownership.ts";

/** What survives a crash of a `MemoryDatabase`: hand it to the next one, as a disk is left to the next process. */
export class MemoryDisk {
  /** Invariant: each column's rows are in ascending order of key, without duplicates. */
  readonly #columns: ReadonlyMap<Column, Row[]> = new Map(COLUMNS.map((column) => [column, []]));

  rows(column: Column): Row[] {
    return present(this.#columns.get(column), `a column named ${column}`);
  }

  /** The value under a key as it is now; for those who look at a disk from outside. */
  find(column: Column, key: Uint8Array): Uint8Array | undefined {
    const rows = this.rows(column);
    const row = rows[lowerBound(rows, key)];
    return row !== undefined && compareBytes(row.key, key) === 0 ? row.value : undefined;
  }

  apply(batch: WriteBatchBytes): void {
    const writes: [Column, Uint8Array, Uint8Array | null][] = [];
    // Decoded whole before the first row changes: all of a batch or nothing.
    forEachWrite(batch, (column, key, value) =>
      writes.push([column, key.slice(), value === null ? null : value.slice()]),
    );
    for (const [column, key, value] of writes) {
      const rows = this.rows(column);
      const index = lowerBound(rows, key);
      const found = index < rows.length && compareBytes(present(rows[index], "a row").key, key) === 0 ? 1 : 0;
      if (value === null) rows.splice(index, found);
      else rows.splice(index, found, { key, value });
    }
  }
}

export type MemoryOperation =
  /** `index` counts the writes of this database from 0. */
  | { readonly kind: "write"; readonly index: number; readonly count: number; readonly bytes: Uint8Array }
  | { readonly kind: "read"; readonly column: Column };

export interface MemoryDatabaseOptions {
  readonly disk?: MemoryDisk;
  /**
   * Called before each operation takes effect, writes one after the other. What it throws, the caller sees; after a write
   * that failed so, every later write fails. What it awaits, delays the operation: a slow fsync.
   */
  readonly intercept?: (operation: MemoryOperation) => void | Promise<void>;
}

/** The `Database` without a disk, for tests and the simulator: same order, atomicity and failures. */
export class MemoryDatabase implements Database {
  readonly #disk: MemoryDisk;
  readonly #intercept: (operation: MemoryOperation) => void | Promise<void>;
  #tail: Promise<void> = Promise.resolve();
  #writes = 0;
  #failure: Error | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: MemoryDatabaseOptions = {}) {
    this.#disk = options.disk ?? new MemoryDisk();
    this.#intercept = options.intercept ?? (() => {});
  }

  write(batch: WriteBatchBytes): Promise<void> {
    if (this.#closing !== null) return Promise.reject(closedError());
    const bytes = ownBytes(batch);
    const index = this.#writes;
    this.#writes += 1;
    const written = this.#tail.then(() => this.#apply({ bytes, count: batch.count }, index));
    this.#tail = written.catch(() => {});
    return written;
  }

  async get(column: Column, key: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#beforeRead(column);
    return this.#find(column, key);
  }

  async getMany(column: Column, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    await this.#beforeRead(column);
    return keys.map((key) => this.#find(column, key));
  }

  scan(column: Column, range: ScanRange): Promise<readonly Row[]> {
    assert(Number.isSafeInteger(range.limit) && range.limit >= 0, `a scan's limit from 0 on, not ${range.limit}`);
    assert(range.limit <= SCAN_ROWS_MAX, `a scan of at most ${SCAN_ROWS_MAX} rows, not ${range.limit}`);
    return this.#scan(column, range);
  }

  close(): Promise<void> {
    this.#closing ??= this.#tail;
    return this.#closing;
  }

  /** Ends like a killed process: writes that are not durable yet never will be. The disk can be opened again. */
  crash(): void {
    this.#failure ??= closedError();
    this.#closing ??= Promise.resolve();
  }

  async #apply(batch: WriteBatchBytes, index: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    try {
      await this.#intercept({ kind: "write", index, count: batch.count, bytes: batch.bytes });
      if (this.#failure !== null) throw this.#failure;
      this.#disk.apply(batch);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      throw this.#failure;
    }
  }

  async #scan(column: Column, range: ScanRange): Promise<readonly Row[]> {
    await this.#beforeRead(column);
    const rows = this.#disk.rows(column);
    const from = range.gte === undefined ? 0 : lowerBound(rows, range.gte);
    const to = Math.max(from, range.lt === undefined ? rows.length : lowerBound(rows, range.lt));
    const selected =
      range.reverse === true
        ? rows.slice(Math.max(from, to - range.limit), to).reverse()
        : rows.slice(from, Math.min(to, from + range.limit));
    return selected.map(({ key, value }) => ({ key: key.slice(), value: value.slice() }));
  }

  async #beforeRead(column: Column): Promise<void> {
    if (this.#closing !== null) throw closedError();
    await this.#intercept({ kind: "read", column });
  }

  #find(column: Column, key: Uint8Array): Uint8Array | undefined {
    return this.#disk.find(column, key)?.slice();
  }
}

/** Takes the batch away from the caller just as the transfer to the database thread does, so that reuse fails here too. */
function ownBytes(batch: WriteBatchBytes): Uint8Array {
  const { buffer, length } = takeBytes(batch);
  return new Uint8Array(buffer.transfer(), 0, length);
}

function closedError(): StorageError {
  return new StorageError("closed", "the database is closed");
}

/** Index of the first row whose key is not less than `key`. */
function lowerBound(rows: readonly Row[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(present(rows[middle], "a row").key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ascending, byte by byte, a prefix before what it begins. */
function compareBytes(left: Uint8Array, right: Uint8Array): number {
  return Buffer.compare(left, right);
}
