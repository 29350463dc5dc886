/**
 * The part of the native module of @nxtedition/rocksdb 12.2.12 that we call; the package has no types. We go past its
 * class `RocksLevel` because that class hides open errors, takes an undefined column for `default`, and does not sync
 * single puts.
 */
declare module "@nxtedition/rocksdb/binding.js" {
  /** A database context, an iterator, a batch or a column: a pointer that only the module understands. */
  export interface RocksHandle {
    readonly rocksHandle: unique symbol;
  }

  export interface RocksColumnOptions {
    readonly compaction: "level" | "universal";
    readonly memtableMemoryBudget: number;
    /** Each column has a cache of its own. */
    readonly cacheSize: number;
    readonly compression: boolean;
    /** Absent: Bloom filters of 10 bits a key. `nullptr`: none. */
    readonly filterPolicy?: string;
  }

  export interface RocksOpenOptions {
    readonly createIfMissing: boolean;
    readonly walCompression: boolean;
    readonly cacheSize: number;
    readonly parallelism?: number;
    readonly columns: Readonly<Record<string, RocksColumnOptions>>;
  }

  export interface RocksReadOptions {
    readonly column: RocksHandle;
    readonly keyEncoding: "buffer";
    readonly valueEncoding: "buffer";
    readonly fillCache?: boolean;
  }

  export interface RocksRangeOptions extends RocksReadOptions {
    readonly gte?: Uint8Array;
    readonly lt?: Uint8Array;
    readonly reverse?: boolean;
    readonly limit: number;
  }

  /** Key, value, key, value. */
  export interface RocksRows {
    readonly rows: readonly Uint8Array[];
    readonly finished: boolean;
  }

  export type RocksColumns = Readonly<Record<string, RocksHandle>>;
  type Callback<T> = (error: Error | null, value: T) => void;

  interface RocksBinding {
    db_init(locationOrHandle: string | bigint): RocksHandle;
    /** Answers at once, and never calls back, when the database behind a shared handle is open already. */
    db_open(
      db: RocksHandle,
      options: RocksOpenOptions | Record<string, never>,
      callback: Callback<RocksColumns>,
    ): RocksColumns | undefined;
    db_close(db: RocksHandle, callback: Callback<undefined>): void;
    db_get_handle(db: RocksHandle): bigint;
    db_get_identity(db: RocksHandle): string;
    db_get_latest_sequence(db: RocksHandle): number;
    db_get_property(db: RocksHandle, name: string): string;
    db_get_many_sync(
      db: RocksHandle,
      keys: readonly Uint8Array[],
      options: RocksReadOptions,
    ): readonly (Uint8Array | null | undefined)[];
    db_query(db: RocksHandle, options: RocksRangeOptions): RocksRows;
    iterator_init(db: RocksHandle, options: RocksRangeOptions): RocksHandle;
    iterator_nextv(iterator: RocksHandle, count: number, callback: Callback<RocksRows>): void;
    iterator_close(iterator: RocksHandle): void;
    batch_init(): RocksHandle;
    batch_put(batch: RocksHandle, key: Uint8Array, value: Uint8Array, options: { readonly column: RocksHandle }): void;
    batch_del(batch: RocksHandle, key: Uint8Array, options: { readonly column: RocksHandle }): void;
    batch_clear(batch: RocksHandle): void;
    /** Blocks the calling thread; only this call syncs. */
    batch_write(db: RocksHandle, batch: RocksHandle, options: { readonly sync: boolean }): void;
  }

  const binding: RocksBinding;
  export default binding;
}
