import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { present } from "../lib/assert.ts";
import type { WriteBatchBytes } from "../node/ports.ts";
import { GROUP_BYTES_MAX, PENDING_BYTES_MAX, PENDING_WRITES_MAX } from "./limits.ts";
import { classify, StorageError } from "./storage-error.ts";
import type { StorageMetrics } from "./storage-metrics.ts";
import type { FromWriter, ToWriter, WriterData } from "./write-messages.ts";
import { takeBytes } from "./write-ownership.ts";

export interface WriteQueueOptions {
  /** Address of the open database. */
  readonly handle: bigint;
  readonly path: string;
  readonly metrics: StorageMetrics;
  /** Called once, when writes begin to be refused. */
  readonly onFailure: (error: StorageError) => void;
  readonly pendingBytesMax?: number;
  /** Another script for the thread, in tests of what happens when it dies. */
  readonly script?: URL;
}

interface PendingWrite {
  readonly rows: number;
  readonly bytes: number;
  readonly startedMs: number;
  readonly resolve: () => void;
  readonly reject: (error: StorageError) => void;
}

/**
 * Hands batches to the database thread and resolves them, in order, as they become durable.
 *
 * Invariant: once one write was refused, every later one is: what is durable is a prefix of the calls.
 */
export class WriteQueue {
  readonly #worker: Worker;
  readonly #options: WriteQueueOptions;
  readonly #bytesMax: number;
  #pending: PendingWrite[] = [];
  /** Writes at the front of `#pending` that are settled and not yet cut off. */
  #settled = 0;
  #pendingBytes = 0;
  #failure: StorageError | null = null;
  #exited = false;
  #closing = false;

  /** Starts the thread and waits until it has the database. */
  static async start(options: WriteQueueOptions): Promise<WriteQueue> {
    const workerData: WriterData = { handle: options.handle, groupBytesMax: GROUP_BYTES_MAX };
    const worker = new Worker(options.script ?? new URL("./write-worker.ts", import.meta.url), { workerData });
    const queue = new WriteQueue(worker, options);
    const ended = once(worker, "exit").then(() => null);
    // `once` rejects on "error"; the queue's own listener has recorded the reason by then.
    const first = await Promise.race([once(worker, "message"), ended]).catch(() => null);
    if (first === null)
      throw (
        queue.#failure ?? new StorageError("worker-died", "the database thread did not start", { path: options.path })
      );
    return queue;
  }

  private constructor(worker: Worker, options: WriteQueueOptions) {
    this.#worker = worker;
    this.#options = options;
    this.#bytesMax = options.pendingBytesMax ?? PENDING_BYTES_MAX;
    worker.on("message", (message: FromWriter) => this.#onMessage(message));
    worker.on("error", (error) => this.#onDeath(error));
    worker.on("exit", () => {
      this.#exited = true;
      this.#onDeath(undefined);
    });
  }

  get pendingWrites(): number {
    return this.#pending.length - this.#settled;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get failure(): StorageError | null {
    return this.#failure;
  }

  write(batch: WriteBatchBytes): Promise<void> {
    const size = batch.bytes.length;
    if (this.#failure === null && this.#isFull(size)) {
      const waiting = `${this.pendingWrites} writes of ${this.#pendingBytes} bytes wait for the disk`;
      this.#fail(new StorageError("overloaded", waiting, { path: this.#options.path }));
    }
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const bytes = takeBytes(batch);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#pending.push({ rows: batch.count, bytes: size, startedMs: performance.now(), resolve, reject });
    this.#pendingBytes += size;
    this.#post({ kind: "write", bytes, count: batch.count }, [bytes.buffer]);
    return promise;
  }

  /** Waits until every accepted write is settled and the thread has ended. The caller stops writing first. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#exited) return;
    const ended = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    this.#post({ kind: "close" }, []);
    await ended;
  }

  #isFull(size: number): boolean {
    if (this.pendingWrites >= PENDING_WRITES_MAX) return true;
    // A batch larger than the bound is let through alone, else it could never be written.
    return this.#pendingBytes > 0 && this.#pendingBytes + size > this.#bytesMax;
  }

  #post(message: ToWriter, transfer: readonly ArrayBuffer[]): void {
    this.#worker.postMessage(message, [...transfer]);
  }

  #onMessage(message: FromWriter): void {
    if (message.kind === "ready") return;
    if (message.kind === "committed") {
      this.#onCommitted(message);
      return;
    }
    const code = message.malformed ? "malformed-batch" : classify(message.code, message.message);
    this.#abandon(new StorageError(code, `cannot write: ${message.message}`, { path: this.#options.path }));
  }

  #onCommitted(commit: FromWriter & { readonly kind: "committed" }): void {
    const nowMs = performance.now();
    const { metrics } = this.#options;
    metrics.onCommit(commit);
    for (let left = commit.batches; left > 0 && this.pendingWrites > 0; left--) {
      const write = present(this.#pending[this.#settled], "the oldest pending write");
      this.#settled += 1;
      this.#pendingBytes -= write.bytes;
      metrics.onWrite({ seconds: (nowMs - write.startedMs) / 1000, rows: write.rows, bytes: write.bytes });
      write.resolve();
    }
    // Cut settled writes off in one go when they are half of the array: constant time a write.
    if (this.#settled * 2 >= this.#pending.length) {
      this.#pending = this.#pending.slice(this.#settled);
      this.#settled = 0;
    }
  }

  #onDeath(cause: unknown): void {
    if (this.#closing && cause === undefined && this.pendingWrites === 0) return;
    this.#abandon(new StorageError("worker-died", "the database thread ended", { path: this.#options.path, cause }));
  }

  /** Refuses what waits, too: whether it reached the disk is unknown. */
  #abandon(error: StorageError): void {
    this.#fail(error);
    const refused = this.#pending.slice(this.#settled);
    this.#pending = [];
    this.#settled = 0;
    this.#pendingBytes = 0;
    for (const write of refused) write.reject(error);
  }

  /** Refuses every later write; what waits goes on. */
  #fail(error: StorageError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#options.onFailure(error);
  }
}
