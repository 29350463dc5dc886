import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import binding, { type RocksColumns } from "@nxtedition/rocksdb/binding.js";
import { present } from "../lib/assert.ts";
import { ZERO_HASH } from "../lib/hash.ts";
import { WriteBatch } from "../node/write-batch.ts";
import { openRocksDatabase } from "./open-rocks-database.ts";
import { closeRocks } from "./rocks-database.ts";
import { rocksOpenOptions } from "./rocks-options.ts";

const KEY = new TextEncoder().encode("key");
const LATER = ["dag", "dag_status", "dag_open", "accepted", "spent"];

let path: string;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "storage-"));
});
afterEach(() => rm(path, { recursive: true, force: true }));

/** A database as the release before made it. */
async function makeFormat2(): Promise<void> {
  const location = join(path, "rocksdb");
  await mkdir(location);
  const database = binding.db_init(location);
  const tuning = { cacheSizeMb: 8, writeBufferMb: 8, compression: false, bloomFilters: true };
  const options = rocksOpenOptions(tuning, true);
  const columns = Object.fromEntries(Object.entries(options.columns).filter(([name]) => !LATER.includes(name)));
  const opened = await new Promise<RocksColumns>((resolve, reject) => {
    binding.db_open(database, { ...options, columns }, (error, handles) => {
      if (error === null || error === undefined) resolve(handles);
      else reject(error);
    });
  });
  const batch = binding.batch_init();
  binding.batch_put(batch, KEY, KEY, { column: present(opened["log"], "a column") });
  binding.batch_write(database, batch, { sync: true });
  const marker = { format: 2, network: ZERO_HASH, database: binding.db_get_identity(database) };
  await closeRocks(database, path);
  await writeFile(join(path, "FORMAT"), `${JSON.stringify(marker)}\n`);
}

test("a database without the columns of leaderless networks opens as before, and is marked anew", async () => {
  await makeFormat2();
  for (let time = 0; time < 2; time++) {
    const database = await openRocksDatabase({ path, identity: ZERO_HASH, create: "never" });
    try {
      expect(await database.get("log", KEY)).toEqual(KEY);
      const batch = new WriteBatch();
      for (const column of ["dag", "spent"] as const) batch.put(column, KEY, KEY);
      await database.write(batch.finish());
      expect(await database.get("spent", KEY)).toEqual(KEY);
    } finally {
      await database.close();
    }
    expect(JSON.parse(await readFile(join(path, "FORMAT"), "utf8"))).toMatchObject({ format: 4 });
  }
});
