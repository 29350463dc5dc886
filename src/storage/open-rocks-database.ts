import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import binding, { type RocksColumns, type RocksHandle } from "@nxtedition/rocksdb/binding.js";
import { assert } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Database } from "../node/ports.ts";
import { DATABASE_FOLDER, type FolderState, inspectFolder, writeMarker } from "./format-marker.ts";
import { closeRocks, type DatabaseAdmin, RocksDatabase } from "./rocks-database.ts";
import { rocksOpenOptions } from "./rocks-options.ts";
import { failureOf, StorageError, toStorageError } from "./storage-error.ts";
import { NO_METRICS, type StorageMetrics } from "./storage-metrics.ts";
import { WriteQueue } from "./write-queue.ts";

export type StorageLog = (
  level: "info" | "warn" | "error",
  event: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

export interface RocksDatabaseOptions {
  /** The storage folder. Two nodes never share one. */
  readonly path: string;
  /** The hash of the genesis; a database of another network is refused. */
  readonly identity: Hash;
  /** `never` on restart, so that a mistyped path is an error and not an empty database. */
  readonly create: "if-missing" | "never";
  /** Block caches in MiB, 0 to 8192. Default 64. */
  readonly cacheSizeMb?: number;
  /** Write buffers in MiB, 1 to 8192. Default 32. */
  readonly writeBufferMb?: number;
  /** ZSTD on older tables, and level compaction. Default false: no compression, and universal compaction. */
  readonly compression?: boolean;
  /** 10 bits a key, on every column. Default true. */
  readonly bloomFilters?: boolean;
  /** Not reachable through the package: RocksDB keeps every table open. A value is accepted, logged and not honoured. */
  readonly maxOpenFiles?: number;
  /** Bytes of writes that may wait for the disk before writes are refused. Default 128 MiB. */
  readonly pendingBytesMax?: number;
  readonly log?: StorageLog;
  readonly metrics?: StorageMetrics;
}

const MEMORY_MB_MAX = 8192;

/**
 * Opens the node's database, or makes it.
 * @throws StorageError `missing`, `locked`, `foreign`, `wrong-network`, `unsupported-format`, `corrupt`, `disk-full`,
 *   `permission`, `io`
 */
export async function openRocksDatabase(options: RocksDatabaseOptions): Promise<Database & DatabaseAdmin> {
  const path = resolve(options.path);
  const log = options.log ?? (() => {});
  const startedMs = performance.now();
  if (options.maxOpenFiles !== undefined) {
    log("warn", "storage.option-not-honoured", {
      option: "maxOpenFiles",
      reason: "the RocksDB package keeps every table open",
    });
  }
  const state = await inspectFolder(path);
  checkFolder(state, path, options);
  const { database, columns } = await openRocks(state, path, options);
  try {
    await claimFolder(state, path, options.identity, database);
    const metrics = options.metrics ?? NO_METRICS;
    const queue = await WriteQueue.start({
      handle: binding.db_get_handle(database),
      path,
      metrics,
      onFailure: (error) => log("error", "storage.writes-refused", { code: error.code, message: error.message }),
      ...(options.pendingBytesMax === undefined ? {} : { pendingBytesMax: options.pendingBytesMax }),
    });
    const openMs = Math.round(performance.now() - startedMs);
    log("info", "storage.opened", { path, created: state.kind !== "marked", openMs });
    const onClosed = (reason: unknown): void => {
      if (reason === null) log("info", "storage.closed", { path });
      else log("warn", "storage.closed-with-error", { path, message: failureOf(reason).message });
    };
    return new RocksDatabase({ path, database, columns, queue, metrics, onClosed });
  } catch (error) {
    // The reason for closing matters more than whether that worked too.
    await closeRocks(database, path).catch(() => {});
    throw toStorageError(error, "open the database", { path });
  }
}

function checkFolder(state: FolderState, path: string, options: RocksDatabaseOptions): void {
  if (state.kind === "marked") {
    if (state.marker.network === options.identity) return;
    const networks = `the database belongs to network ${state.marker.network}, this node to ${options.identity}`;
    throw new StorageError("wrong-network", networks, { path });
  }
  if (options.create === "never") throw new StorageError("missing", "there is no database", { path });
}

async function openRocks(
  state: FolderState,
  path: string,
  options: RocksDatabaseOptions,
): Promise<{ readonly database: RocksHandle; readonly columns: RocksColumns }> {
  const rocksOptions = rocksOpenOptions(
    {
      cacheSizeMb: megabytes("cacheSizeMb", options.cacheSizeMb ?? 64, 0),
      writeBufferMb: megabytes("writeBufferMb", options.writeBufferMb ?? 32, 1),
      compression: options.compression ?? false,
      bloomFilters: options.bloomFilters ?? true,
    },
    // A marked folder that lost its database is damage, not a fresh start.
    state.kind !== "marked",
  );
  const location = join(path, DATABASE_FOLDER);
  try {
    if (state.kind !== "marked") await mkdir(location, { recursive: true });
    const database = binding.db_init(location);
    const columns = await new Promise<RocksColumns>((resolve_, reject) => {
      binding.db_open(database, rocksOptions, (error, opened) => {
        if (error === null || error === undefined) resolve_(opened);
        else reject(error);
      });
    });
    return { database, columns };
  } catch (error) {
    throw toStorageError(error, "open the database", { path });
  }
}

/** Marks a database that was just made; checks that a marker and its database belong together. */
async function claimFolder(state: FolderState, path: string, network: Hash, database: RocksHandle): Promise<void> {
  const identity = binding.db_get_identity(database);
  if (state.kind === "marked") {
    if (state.marker.database === identity) return state.isCurrent ? undefined : await writeMarker(path, state.marker);
    throw new StorageError("foreign", "the marker was written for another database than the one beside it", { path });
  }
  if (binding.db_get_latest_sequence(database) !== 0) {
    throw new StorageError("foreign", "the folder holds a database with rows and without a format marker", { path });
  }
  await writeMarker(path, { network, database: identity });
}

function megabytes(name: string, value: number, min: number): number {
  const valid = Number.isFinite(value) && value >= min && value <= MEMORY_MB_MAX;
  assert(valid, `${name} from ${min} to ${MEMORY_MB_MAX} MiB, not ${value}`);
  return value;
}
