import { decode } from "../codec/codec.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { Sequence } from "../membership/ids.ts";
import type { Column, Database, Row, ScanRange, WriteBatchBytes } from "../node/ports.ts";
import { executionStateCodec } from "../replication/executor.ts";
import { MemoryDatabase, MemoryDisk } from "../storage/memory-database.ts";
import { StorageError } from "../storage/storage-error.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

/** How a node's disk behaves; times in milliseconds. */
export interface DiskWeather {
  readonly fsyncMinMs: number;
  readonly fsyncMaxMs: number;
  readonly readMaxMs: number;
}

export const CALM_DISK: DiskWeather = { fsyncMinMs: 0.2, fsyncMaxMs: 3, readMaxMs: 0.5 };

interface PendingWrite {
  readonly batch: WriteBatchBytes;
  readonly done: PromiseWithResolvers<void>;
}

/** What outlives the lives of one node: the rows that are durable, and how the device behaves. */
export class VirtualDisk {
  rows: MemoryDisk = new MemoryDisk();
  weather: DiskWeather = CALM_DISK;
  isFull = false;

  /** The last batch whose execution is durable now. */
  executed(): Sequence {
    const row = this.rows.find("consensus", asciiBytes("execution"));
    return row === undefined ? (0 as Sequence) : decode(executionStateCodec, row).sequence;
  }
}

/**
 * One life's database over a virtual disk. Writes gather while an fsync is under way and share the next one, as RocksDB's
 * group commit does. A crash leaves a prefix of the writes that wait: each may be on the disk although nobody heard of
 * it, or be lost, or be torn; a torn one is cut off whole, as the checksums of RocksDB's log do.
 */
export class VirtualDatabase implements Database {
  readonly #disk: VirtualDisk;
  readonly #reads: MemoryDatabase;
  readonly #schedule: Schedule;
  readonly #random: Random;
  #gathered: PendingWrite[] = [];
  #syncing: PendingWrite[] = [];
  #failure: Error | null = null;

  constructor(disk: VirtualDisk, schedule: Schedule, random: Random) {
    this.#disk = disk;
    this.#schedule = schedule;
    this.#random = random;
    this.#reads = new MemoryDatabase({ disk: disk.rows });
  }

  write(batch: WriteBatchBytes): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#disk.isFull) {
      return Promise.reject(this.#fail(new StorageError("disk-full", "the virtual disk is full")));
    }
    // Taken over, as the transfer to the database thread does: whoever writes on in the buffer is found out.
    const { buffer, byteOffset, length } = batch.bytes;
    const owned = buffer instanceof ArrayBuffer ? buffer.transfer() : buffer;
    const bytes = new Uint8Array(owned, byteOffset, length);
    const pending: PendingWrite = { batch: { bytes, count: batch.count }, done: Promise.withResolvers<void>() };
    this.#gathered.push(pending);
    if (this.#syncing.length === 0) this.#sync();
    return pending.done.promise;
  }

  async get(column: Column, key: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#readTime();
    return await this.#reads.get(column, key);
  }

  async getMany(column: Column, keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    await this.#readTime();
    return await this.#reads.getMany(column, keys);
  }

  async scan(column: Column, range: ScanRange): Promise<readonly Row[]> {
    await this.#readTime();
    return await this.#reads.scan(column, range);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Power is cut. What the node said meanwhile depends on nothing of this: it waited for the fsync. */
  crash(): void {
    const waiting = [...this.#syncing, ...this.#gathered];
    const kept = this.#random.below(waiting.length + 1);
    for (const { batch } of waiting.slice(0, kept)) this.#disk.rows.apply(batch);
    this.#failure ??= new StorageError("closed", "the node crashed");
    this.#syncing = [];
    this.#gathered = [];
  }

  /** After a failure every write fails, also those that wait. */
  #fail(failure: Error): Error {
    this.#failure = failure;
    for (const { done } of [...this.#syncing, ...this.#gathered]) done.reject(failure);
    return failure;
  }

  #sync(): void {
    this.#syncing = this.#gathered;
    this.#gathered = [];
    if (this.#syncing.length === 0) return;
    const { fsyncMinMs, fsyncMaxMs } = this.#disk.weather;
    const tookMs = fsyncMinMs + this.#random.fraction() * (fsyncMaxMs - fsyncMinMs);
    this.#schedule.after(tookMs, () => {
      if (this.#failure !== null) return;
      const synced = this.#syncing;
      for (const { batch } of synced) this.#disk.rows.apply(batch);
      this.#sync();
      for (const { done } of synced) done.resolve();
    });
  }

  #readTime(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { readMaxMs } = this.#disk.weather;
    if (readMaxMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#schedule.after(this.#random.fraction() * readMaxMs, () => {
        if (this.#failure === null) resolve();
      });
    });
  }
}
