import type { Column } from "../node/ports.ts";

/** Where the storage adapter reports what it did; the node turns this into histograms. Every call is cheap and frequent. */
export interface StorageMetrics {
  /** One `write`, from the call until it was durable. */
  onWrite(write: { readonly seconds: number; readonly rows: number; readonly bytes: number }): void;
  /** One fsync: how many `write` calls it served, and how long filling and writing it took in the database thread. */
  onCommit(commit: {
    readonly seconds: number;
    readonly batches: number;
    readonly rows: number;
    readonly bytes: number;
  }): void;
  onRead(read: {
    readonly operation: ReadOperation;
    readonly column: Column;
    readonly seconds: number;
    readonly rows: number;
  }): void;
}

export type ReadOperation = "get" | "get-many" | "scan";

/** State of the whole database at this moment. */
export interface StorageGauges {
  /** RocksDB refuses writes until compaction has caught up. */
  readonly writeStopped: boolean;
  /** Bytes per second to which RocksDB slows writes; 0 when it does not. */
  readonly delayedWriteBytesPerSecond: number;
  readonly runningCompactions: number;
  readonly runningFlushes: number;
  /** Failed background flushes and compactions since the start. */
  readonly backgroundErrors: number;
  /** `write` calls, and their bytes, that are not durable yet. */
  readonly pendingWrites: number;
  readonly pendingBytes: number;
}

export const NO_METRICS: StorageMetrics = { onWrite: () => {}, onCommit: () => {}, onRead: () => {} };
