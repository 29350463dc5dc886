import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ZERO_HASH } from "../../src/lib/hash.ts";
import type { Column, Database, Row } from "../../src/node/ports.ts";
import { WriteBatch } from "../../src/node/write-batch.ts";
import { openRocksDatabase } from "../../src/storage/open-rocks-database.ts";
import { ROWS_PER_BATCH, rowKey } from "./numbered-writer.ts";

describe("a database whose process is killed", () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "crash-"));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  test("keeps every acknowledged batch, keeps batches whole, and leaves no hole", async () => {
    let known = 0;
    for (const acknowledged of [1, 400, 1500]) {
      const child = startWriter(path, known);
      const acks = await readAcks(child.stdout, acknowledged, () => child.kill("SIGKILL"));
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      expect(acks.length).toBeGreaterThanOrEqual(acknowledged);

      const database = await openRocksDatabase({ path, identity: ZERO_HASH, create: "never" });
      const rows = await rowsByBatch(database);
      await database.close();
      for (const number of acks) expect(rows.get(number)).toBe(ROWS_PER_BATCH);
      for (let number = 0; number < rows.size; number++) expect(rows.get(number)).toBe(ROWS_PER_BATCH);
      expect(rows.size).toBeGreaterThanOrEqual(known + acks.length);
      known = rows.size;
    }
  }, 60_000);

  test("is locked for other processes while it lives and free once it is dead", async () => {
    const child = startWriter(path, 0);
    const opened = Promise.withResolvers<void>();
    const reading = readAcks(child.stdout, 1, opened.resolve);
    await opened.promise;
    const refusal = await openRocksDatabase({ path, identity: ZERO_HASH, create: "never" }).catch(
      (error: unknown) => error,
    );
    child.kill("SIGKILL");
    await child.exited;
    await reading;
    expect(refusal).toMatchObject({ code: "locked" });
    await (await openRocksDatabase({ path, identity: ZERO_HASH, create: "never" })).close();
  }, 60_000);
});

describe("a database on a full disk", () => {
  const folder = join(tmpdir(), `full-${process.pid}`);
  const mountable = mountSmallDisk(folder);
  if (mountable) unmount(folder);
  // Needs a file system of a few megabytes, which only root can mount.
  test.skipIf(!mountable)("refuses writes as disk-full until it is reopened, and keeps what was durable", async () => {
    expect(mountSmallDisk(folder)).toBe(true);
    try {
      const database = await openRocksDatabase({
        path: join(folder, "db"),
        identity: ZERO_HASH,
        create: "if-missing",
        writeBufferMb: 1,
      });
      let durable = 0;
      const write = () => {
        const batch = new WriteBatch();
        batch.put("log", rowKey(durable, 0), crypto.getRandomValues(new Uint8Array(100_000)));
        return database.write(batch.finish()).then(() => {
          durable += 1;
        });
      };
      let refusal: unknown = null;
      while (refusal === null && durable < 1000) await write().catch((error: unknown) => (refusal = error));
      expect(refusal).toMatchObject({ code: "disk-full" });
      await expect(write()).rejects.toBe(refusal);
      expect((await database.scan("log", { limit: 1000 })).length).toBeGreaterThanOrEqual(durable);
      await database.close();
      expect(durable).toBeGreaterThan(10);
      expect(spawnSync("mount", ["-o", "remount,size=64m", folder]).status).toBe(0);
      const reopened = await openRocksDatabase({ path: join(folder, "db"), identity: ZERO_HASH, create: "never" });
      expect((await reopened.scan("log", { limit: 1000 })).length).toBeGreaterThanOrEqual(durable);
      await reopened.close();
    } finally {
      unmount(folder);
    }
  });
});

function startWriter(path: string, firstBatch: number): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const script = join(import.meta.dir, "numbered-writer.ts");
  return Bun.spawn([process.execPath, script, path, String(firstBatch)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
}

/** All whole lines until the end of the output; calls `onEnough` once when there are `enough`. */
async function readAcks(output: ReadableStream<Uint8Array>, enough: number, onEnough: () => void): Promise<number[]> {
  const acks: number[] = [];
  const decoder = new TextDecoder();
  let rest = "";
  let called = false;
  for await (const chunk of output) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) acks.push(Number(line));
    if (!called && acks.length >= enough) {
      called = true;
      onEnough();
    }
  }
  return acks;
}

/** How many rows each batch has, over both columns that it was written to. */
async function rowsByBatch(database: Database): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for (const column of ["log", "vertices"] as const) {
    for await (const { key } of allRows(database, column)) {
      const batch = new DataView(key.buffer, key.byteOffset).getUint32(0);
      counts.set(batch, (counts.get(batch) ?? 0) + 1);
    }
  }
  return counts;
}

async function* allRows(database: Database, column: Column): AsyncGenerator<Row> {
  let gte = new Uint8Array(0);
  for (;;) {
    const rows = await database.scan(column, { gte, limit: 10_000 });
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < 10_000) return;
    gte = new Uint8Array([...last.key, 0]);
  }
}

function mountSmallDisk(folder: string): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  spawnSync("mkdir", ["-p", folder]);
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).status === 0;
}

function unmount(folder: string): void {
  spawnSync("umount", [folder]);
  spawnSync("rmdir", [folder]);
}
