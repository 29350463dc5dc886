import { parentPort, workerData } from "node:worker_threads";
import binding, { type RocksColumns, type RocksHandle } from "@nxtedition/rocksdb/binding.js";
import { present } from "../lib/assert.ts";
import { COLUMNS, type Column } from "../node/ports.ts";
import { forEachWrite } from "../node/write-batch.ts";
import { failureOf } from "./storage-error.ts";
import type { FromWriter, ToWriter, WriterData } from "./write-messages.ts";

/**
 * The database thread. RocksDB writes and syncs on the thread that calls it, so all writes happen here, one group at a
 * time; whatever arrived while a group was syncing is the next group.
 *
 * Invariant: after a failure nothing is written any more, so what is on disk is always a prefix of the writes.
 */
class Writer {
  readonly #port: { postMessage(message: FromWriter): void };
  readonly #database: RocksHandle;
  readonly #columns: ReadonlyMap<Column, { readonly column: RocksHandle }>;
  readonly #batch: RocksHandle = binding.batch_init();
  readonly #groupBytesMax: number;
  #queue: { readonly bytes: Uint8Array; readonly count: number }[] = [];
  #failed = false;

  constructor(
    port: { postMessage(message: FromWriter): void },
    database: RocksHandle,
    columns: RocksColumns,
    groupBytesMax: number,
  ) {
    this.#port = port;
    this.#database = database;
    this.#columns = new Map(COLUMNS.map((name) => [name, { column: present(columns[name], `column ${name}`) }]));
    this.#groupBytesMax = groupBytesMax;
  }

  enqueue(bytes: Uint8Array, count: number): void {
    if (this.#failed) return;
    // Later messages of this turn of the event loop join the group.
    if (this.#queue.length === 0) setImmediate(() => this.drain());
    this.#queue.push({ bytes, count });
  }

  drain(): void {
    const queue = this.#queue;
    let from = 0;
    while (from < queue.length && !this.#failed) from = this.#writeGroup(queue, from);
    this.#queue = [];
  }

  /** Writes as many batches from `from` on as share an fsync; answers where the next group begins. */
  #writeGroup(queue: readonly { readonly bytes: Uint8Array; readonly count: number }[], from: number): number {
    const startedMs = performance.now();
    const group = { batches: 0, rows: 0, bytes: 0 };
    let malformed = true;
    try {
      for (let index = from; index < queue.length; index++) {
        const next = present(queue[index], "a queued write");
        if (group.batches > 0 && group.bytes + next.bytes.length > this.#groupBytesMax) break;
        this.#fill(next);
        group.batches += 1;
        group.rows += next.count;
        group.bytes += next.bytes.length;
      }
      malformed = false;
      if (group.rows > 0) binding.batch_write(this.#database, this.#batch, { sync: true });
      this.#port.postMessage({ kind: "committed", ...group, seconds: (performance.now() - startedMs) / 1000 });
    } catch (error) {
      this.#failed = true;
      this.#port.postMessage({ kind: "failed", malformed, ...failureOf(error) });
    } finally {
      binding.batch_clear(this.#batch);
    }
    return from + group.batches;
  }

  #fill(batch: { readonly bytes: Uint8Array; readonly count: number }): void {
    forEachWrite(batch, (column, key, value) => {
      const options = present(this.#columns.get(column), `column ${column}`);
      if (value === null) binding.batch_del(this.#batch, key, options);
      else binding.batch_put(this.#batch, key, value, options);
    });
  }
}

function run(): void {
  const port = present(parentPort, "the port to the main thread");
  const { handle, groupBytesMax }: WriterData = workerData;
  const database = binding.db_init(handle);
  const columns = present(
    binding.db_open(database, {}, () => {}),
    "the columns of an open database",
  );
  const writer = new Writer(port, database, columns, groupBytesMax);
  port.on("message", (message: ToWriter) => {
    if (message.kind === "write") {
      writer.enqueue(message.bytes, message.count);
    } else {
      writer.drain();
      port.close();
    }
  });
  port.postMessage({ kind: "ready" } satisfies FromWriter);
}

run();
