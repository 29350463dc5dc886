import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import binding, { type RocksHandle } from "@nxtedition/rocksdb/binding.js";
import { batchOf } from "./database.conformance.ts";
import { closeRocks } from "./rocks-database.ts";
import { rocksOpenOptions } from "./rocks-options.ts";
import type { StorageError } from "./storage-error.ts";
import { NO_METRICS } from "./storage-metrics.ts";
import { WriteQueue } from "./write-queue.ts";

/** A database thread that does as the script says; it never touches the handle. */
async function startWith(script: string, folder: string): Promise<{ queue: WriteQueue; failures: StorageError[] }> {
  const file = join(folder, `${Bun.hash(script)}.mjs`);
  await writeFile(file, `import { parentPort } from "node:worker_threads";\n${script}`);
  const failures: StorageError[] = [];
  const onFailure = (error: StorageError) => void failures.push(error);
  const queue = await WriteQueue.start({
    handle: 0n,
    path: folder,
    metrics: NO_METRICS,
    onFailure,
    script: pathToFileURL(file),
  });
  return { queue, failures };
}

const READY = `parentPort.postMessage({ kind: "ready" });`;
const row = () => batchOf([["key", "value"]], "log");

describe("the write queue", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "write-queue-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("every group is synced to the disk before its writes resolve", async () => {
    const location = join(folder, "synced");
    await mkdir(location);
    const database = await openPlain(location);
    const queue = await WriteQueue.start({
      handle: binding.db_get_handle(database),
      path: location,
      metrics: NO_METRICS,
      onFailure: () => {},
    });
    for (let count = 1; count <= 5; count++) {
      await queue.write(row());
      expect(binding.db_get_property(database, "rocksdb.dbstats")).toContain(
        `Cumulative WAL: ${count} writes, ${count} syncs`,
      );
    }
    await queue.close();
    await closeRocks(database, location);
  });

  test("a thread that throws refuses the waiting writes and all later ones, and is reported once", async () => {
    const { queue, failures } = await startWith(
      `${READY} parentPort.on("message", () => { throw new Error("native fault"); });`,
      folder,
    );
    const writes = await Promise.allSettled([queue.write(row()), queue.write(row())]);
    expect(writes).toMatchObject([
      { status: "rejected", reason: { code: "worker-died" } },
      { status: "rejected", reason: { code: "worker-died" } },
    ]);
    await expect(queue.write(row())).rejects.toMatchObject({ code: "worker-died" });
    expect(failures.length).toBe(1);
    expect(queue.pendingBytes).toBe(0);
    await queue.close();
  });

  test("a thread that ends while idle is noticed without a write", async () => {
    const failed = Promise.withResolvers<StorageError>();
    const file = join(folder, "idle.mjs");
    await writeFile(
      file,
      `import { parentPort } from "node:worker_threads";\n${READY} setTimeout(() => process.exit(0), 1);`,
    );
    const queue = await WriteQueue.start({
      handle: 0n,
      path: folder,
      metrics: NO_METRICS,
      onFailure: failed.resolve,
      script: pathToFileURL(file),
    });
    expect((await failed.promise).code).toBe("worker-died");
    await queue.close();
  });

  test("a thread that does not start is an error of the start", async () => {
    await expect(startWith(`throw new Error("no such library");`, folder)).rejects.toMatchObject({
      code: "worker-died",
    });
  });

  test("a write error of the system becomes a code with a next step, and later writes get the same", async () => {
    const message = "IO error: While appending to file: /db/000004.log: No space left on device";
    const fail = `parentPort.postMessage({ kind: "failed", malformed: false, code: "LEVEL_IO_ERROR", message: "${message}" });`;
    const close = `if (m.kind === "close") parentPort.close(); else`;
    const { queue } = await startWith(`${READY} parentPort.on("message", (m) => { ${close} ${fail} });`, folder);
    const first = await queue.write(row()).catch((error: unknown) => error);
    expect(first).toMatchObject({ code: "disk-full" });
    expect(String(first)).toContain("Free space");
    await expect(queue.write(row())).rejects.toBe(first);
    await queue.close();
  });
});

function openPlain(location: string): Promise<RocksHandle> {
  const tuning = { cacheSizeMb: 1, writeBufferMb: 1, compression: false, bloomFilters: true };
  const database = binding.db_init(location);
  return new Promise((resolve, reject) => {
    binding.db_open(database, rocksOpenOptions(tuning, true), (error) =>
      error === null ? resolve(database) : reject(error),
    );
  });
}
