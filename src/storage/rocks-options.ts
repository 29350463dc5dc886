import type { RocksColumnOptions, RocksOpenOptions } from "@nxtedition/rocksdb/binding.js";
import { COLUMNS, type Column } from "../node/ports.ts";

export interface RocksTuning {
  /** Block caches of all columns together, in MiB. Index and filter blocks of open tables come on top. */
  readonly cacheSizeMb: number;
  /** Write buffers of all columns together, in MiB; RocksDB may use half as much again while it flushes. */
  readonly writeBufferMb: number;
  /** ZSTD for older tables. Signatures and hashes do not compress, so it costs time for little. */
  readonly compression: boolean;
  readonly bloomFilters: boolean;
}

const MEGABYTE = 1024 * 1024;

/**
 * Shares of memory by how much each column is written, in sixteenths. A network fills either the columns of the log or those
 * of the DAG, and a budget that nobody writes into takes no memory: so both are shared out in full.
 */
const SHARES: Readonly<Record<Column, number>> = {
  vertices: 5,
  edges: 1,
  metadata: 1,
  index_height: 1,
  index_timestamp: 1,
  finalized: 1,
  log: 4,
  consensus: 2,
  dag: 5,
  dag_status: 1,
  dag_open: 1,
  accepted: 1,
  spent: 1,
  snapshots: 1,
};

/** RocksDB's lower bound of a write buffer is 64 KiB, and a budget holds four of them. */
const MEMTABLE_BUDGET_MIN: number = 256 * 1024;

/**
 * The compaction style follows from compression, because this package compresses tables from level 2 on with ZSTD under
 * `level` whatever `compression` says; only `universal` obeys. Universal also rewrites less (a third less CPU a row when
 * measured) and needs up to twice the disk for a moment.
 *
 * The log is never compressed: it costs CPU on the write path for bytes that are random anyway.
 */
export function rocksOpenOptions(tuning: RocksTuning, createIfMissing: boolean): RocksOpenOptions {
  const columns: Record<string, RocksColumnOptions> = { default: columnOptions(tuning, 0) };
  for (const column of COLUMNS) columns[column] = columnOptions(tuning, SHARES[column] / 16);
  return { createIfMissing, walCompression: false, cacheSize: 0, columns };
}

function columnOptions(tuning: RocksTuning, share: number): RocksColumnOptions {
  return {
    compaction: tuning.compression ? "level" : "universal",
    compression: tuning.compression,
    memtableMemoryBudget: Math.max(MEMTABLE_BUDGET_MIN, Math.floor(tuning.writeBufferMb * MEGABYTE * share)),
    cacheSize: Math.floor(tuning.cacheSizeMb * MEGABYTE * share),
    ...(tuning.bloomFilters ? {} : { filterPolicy: "nullptr" }),
  };
}
