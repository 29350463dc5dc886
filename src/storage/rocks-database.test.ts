import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ZERO_HASH } from "../lib/hash.ts";
import { describeDatabase } from "./database.conformance.ts";
import { openRocksDatabase } from "./open-rocks-database.ts";

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
