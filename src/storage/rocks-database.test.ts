import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hash, ZERO_HASH } from "../lib/hash.ts";
import { WriteBatch } from "../node/write-batch.ts";
import { batchOf, describeDatabase } from "./database.conformance.ts";
import { openRocksDatabase, type RocksDatabaseOptions } from "./open-rocks-database.ts";

const OTHER_NETWORK = "ab".repeat(32) as Hash;
const KEY = new TextEncoder().encode("key");

describeDatabase("RocksDB", async () => {
  const path = await mkdtemp(join(tmpdir(), "storage-"));
  const open = () => openRocksDatabase({ path, identity: ZERO_HASH, create: "if-missing" });
  let database = await open();
  return {
    database,
    reopen: async () => {
      await database.close();
      database = await open();
      return database;
    },
    dispose: async () => {
      await database.close();
      await rm(path, { recursive: true, force: true });
    },
  };
});

describe("the RocksDB folder", () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), "storage-"));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  const open = (options: Partial<RocksDatabaseOptions> = {}) =>
    openRocksDatabase({ path, identity: ZERO_HASH, create: "if-missing", ...options });
  const openOnce = async (options: Partial<RocksDatabaseOptions> = {}) => (await open(options)).close();
  const create = async (rows: number, options: Partial<RocksDatabaseOptions> = {}) => {
    const database = await open(options);
    const batch = new WriteBatch();
    for (let index = 0; index < rows; index++)
      batch.put("vertices", keyOf(index), crypto.getRandomValues(new Uint8Array(300)));
    batch.put("log", KEY, KEY);
    await database.write(batch.finish());
    await database.close();
  };

  test("a missing database is made only when that is allowed", async () => {
    const nested = join(path, "a", "b");
    await expect(open({ path: nested, create: "never" })).rejects.toMatchObject({ code: "missing" });
    expect(await readdir(path)).toEqual([]);
    await openOnce({ path: nested });
    await openOnce({ path: nested, create: "never" });
  });

  test("the database of another network is refused", async () => {
    await create(1);
    const refusal = await open({ identity: OTHER_NETWORK }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "wrong-network", path });
    expect(String(refusal)).toContain(OTHER_NETWORK);
    await openOnce({ create: "never" });
  });

  test("a folder with somebody else's files is refused and stays as it was", async () => {
    await writeFile(join(path, "thesis.txt"), "years of work");
    await expect(open()).rejects.toMatchObject({ code: "foreign" });
    expect(await readdir(path)).toEqual(["thesis.txt"]);
  });

  test("a marker of a newer format, and one that is no marker, are refused", async () => {
    await create(1);
    const marker = join(path, "FORMAT");
    const text = await readFile(marker, "utf8");
    await writeFile(marker, text.replace('"format":4', '"format":5'));
    await expect(open()).rejects.toMatchObject({ code: "unsupported-format" });
    await writeFile(marker, text.slice(0, 20));
    await expect(open()).rejects.toMatchObject({ code: "foreign" });
    await writeFile(marker, text);
    await openOnce();
  });

  test("a database under the marker of another one is refused", async () => {
    await create(1);
    const other = join(path, "..", `${path}-other`);
    try {
      await openOnce({ path: other });
      await writeFile(join(path, "FORMAT"), await readFile(join(other, "FORMAT")));
      await expect(open()).rejects.toMatchObject({ code: "foreign" });
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });

  test("a creation that was cut short is finished, but a database with rows is never adopted without its marker", async () => {
    await mkdir(join(path, "rocksdb"));
    await openOnce();
    await create(1);
    await rm(join(path, "FORMAT"));
    await expect(open()).rejects.toMatchObject({ code: "foreign" });
  });

  test("a marked folder that lost its database is damage, not a fresh start", async () => {
    await create(1);
    await rm(join(path, "rocksdb"), { recursive: true });
    await expect(open()).rejects.toMatchObject({ code: "corrupt" });
  });

  test("a database that is open in this process is locked", async () => {
    const first = await open();
    try {
      await expect(open()).rejects.toMatchObject({ code: "locked" });
      await first.write(batchOf([["still", "works"]], "log"));
    } finally {
      await first.close();
    }
  });

  test("a damaged manifest is reported as corruption when opening", async () => {
    await create(10);
    const manifest = (await readdir(join(path, "rocksdb"))).find((name) => name.startsWith("MANIFEST"));
    await writeFile(join(path, "rocksdb", manifest ?? ""), "not a manifest");
    await expect(open()).rejects.toMatchObject({ code: "corrupt" });
  });

  test("a damaged table fails its reads with the column's name, and the other columns stay readable", async () => {
    await create(3000, { writeBufferMb: 1 });
    // Opening replays the log into tables; the largest of them are those of the vertices.
    await openOnce({ writeBufferMb: 1 });
    await damageTables(join(path, "rocksdb"));
    const database = await open({ cacheSizeMb: 0 });
    try {
      const corrupt = { code: "corrupt", column: "vertices" };
      await expect(database.get("vertices", keyOf(1500))).rejects.toMatchObject(corrupt);
      await expect(database.getMany("vertices", [keyOf(1), keyOf(1500)])).rejects.toMatchObject(corrupt);
      await expect(database.scan("vertices", { limit: 100 })).rejects.toMatchObject(corrupt);
      await expect(database.scan("vertices", { limit: 5000 })).rejects.toMatchObject(corrupt);
      expect(await database.get("log", KEY)).toEqual(KEY);
    } finally {
      await database.close();
    }
  });

  test("writes beyond the bound are refused, those before it are kept", async () => {
    const database = await open({ pendingBytesMax: 1000 });
    const batch = (key: string) => batchOf([[key, "x".repeat(600)]], "log");
    const writes = await Promise.allSettled([
      database.write(batch("a")),
      database.write(batch("b")),
      database.write(batch("c")),
    ]);
    expect(writes).toMatchObject([
      { status: "fulfilled" },
      { status: "rejected", reason: { code: "overloaded" } },
      { status: "rejected", reason: { code: "overloaded" } },
    ]);
    expect(database.failure()).toMatchObject({ code: "overloaded" });
    expect((await database.scan("log", { limit: 9 })).length).toBe(1);
    await database.close();
  });

  test("a batch larger than the bound is written when nothing else waits", async () => {
    const database = await open({ pendingBytesMax: 1000 });
    await database.write(batchOf([["a", "x".repeat(5000)]], "log"));
    expect((await database.get("log", new TextEncoder().encode("a")))?.length).toBe(5000);
    await database.close();
  });

  test("writes of one turn share an fsync, and every write and read is reported", async () => {
    const seen = { writes: 0, commits: 0, batches: 0, rows: 0, bytes: 0, reads: [] as string[] };
    const database = await open({
      metrics: {
        onWrite: () => (seen.writes += 1),
        onCommit: (commit) => {
          seen.commits += 1;
          seen.batches += commit.batches;
          seen.rows += commit.rows;
          seen.bytes += commit.bytes;
        },
        onRead: (read) => seen.reads.push(`${read.operation} ${read.column} ${read.rows}`),
      },
    });
    const batches = Array.from({ length: 100 }, (_, index) =>
      batchOf(
        [
          [`a${index}`, "1"],
          ["b", "2"],
        ],
        "log",
      ),
    );
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    await Promise.all(batches.map((batch) => database.write(batch)));
    expect(seen).toMatchObject({ writes: 100, batches: 100, rows: 200, bytes });
    expect(seen.commits).toBeLessThan(100);
    await database.get("log", KEY);
    await database.scan("log", { limit: 200 });
    expect(seen.reads).toEqual(["get log 1", "scan log 101"]);
    expect(database.gauges()).toEqual({
      writeStopped: false,
      delayedWriteBytesPerSecond: 0,
      runningCompactions: 0,
      runningFlushes: 0,
      backgroundErrors: 0,
      pendingWrites: 0,
      pendingBytes: 0,
    });
    expect(await database.diskBytes()).toBeGreaterThan(bytes);
    await database.close();
  });

  test.each([
    { compression: true, bloomFilters: false },
    { cacheSizeMb: 0, writeBufferMb: 1 },
    { cacheSizeMb: 512, writeBufferMb: 128 },
  ])("it opens with %o and reads what other settings wrote", async (options) => {
    await create(10);
    await create(20, options);
    const database = await open(options);
    expect((await database.scan("vertices", { limit: 100 })).length).toBe(20);
    await database.close();
  });

  test("an option that the package cannot honour is logged", async () => {
    const events: string[] = [];
    await openOnce({ maxOpenFiles: 1000, log: (level, event) => events.push(`${level} ${event}`) });
    expect(events).toEqual(["warn storage.option-not-honoured", "info storage.opened", "info storage.closed"]);
  });
});

function keyOf(index: number): Uint8Array {
  return new TextEncoder().encode(String(index).padStart(8, "0"));
}

/** Flips a byte in every block of the data part of each large table. */
async function damageTables(folder: string): Promise<void> {
  let damaged = 0;
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".sst")) continue;
    const bytes = await readFile(join(folder, name));
    if (bytes.length < 30_000) continue;
    for (let at = 500; at < bytes.length * 0.9; at += 2000) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    await writeFile(join(folder, name), bytes);
    damaged += 1;
  }
  expect(damaged).toBeGreaterThan(0);
}
