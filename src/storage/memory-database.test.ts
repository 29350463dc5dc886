import { describe, expect, test } from "bun:test";
import { batchOf, describeDatabase } from "./database.conformance.ts";
import { MemoryDatabase, MemoryDisk } from "./memory-database.ts";
import { StorageError } from "./storage-error.ts";

describeDatabase("the memory database", async () => {
  const disk = new MemoryDisk();
  let database = new MemoryDatabase({ disk });
  return {
    database,
    reopen: async () => {
      await database.close();
      database = new MemoryDatabase({ disk });
      return database;
    },
    dispose: () => database.close(),
  };
});

const row = (key: string) => batchOf([[key, "x"]], "log");
const KEY = new TextEncoder().encode("a");

describe("the memory database's faults", () => {
  test("a write that the hook refuses ends writing, as a full disk does", async () => {
    const full = new StorageError("disk-full", "no space");
    const database = new MemoryDatabase({
      intercept: (operation) => {
        if (operation.kind === "write" && operation.index === 1) throw full;
      },
    });
    const writes = await Promise.allSettled(["a", "b", "c"].map((key) => database.write(row(key))));
    expect(writes.map((write) => write.status)).toEqual(["fulfilled", "rejected", "rejected"]);
    await expect(database.write(row("d"))).rejects.toBe(full);
    expect((await database.scan("log", { limit: 9 })).length).toBe(1);
  });

  test("a read that the hook refuses fails, and writing goes on", async () => {
    const database = new MemoryDatabase({
      intercept: (operation) => {
        if (operation.kind === "read" && operation.column === "log")
          throw new StorageError("corrupt", "bad block", { column: "log" });
      },
    });
    await database.write(row("a"));
    await expect(database.get("log", KEY)).rejects.toThrow("bad block in column log");
    expect(await database.get("vertices", KEY)).toBeUndefined();
  });

  test("a crash loses what was not durable and keeps what was", async () => {
    const disk = new MemoryDisk();
    const gate = Promise.withResolvers<void>();
    const database = new MemoryDatabase({
      disk,
      intercept: (operation) => (operation.kind === "write" && operation.index === 1 ? gate.promise : undefined),
    });
    await database.write(row("a"));
    const lost = Promise.allSettled([database.write(row("b")), database.write(row("c"))]);
    database.crash();
    gate.resolve();
    expect((await lost).map((write) => write.status)).toEqual(["rejected", "rejected"]);
    const rows = await new MemoryDatabase({ disk }).scan("log", { limit: 9 });
    expect(rows.map((found) => new TextDecoder().decode(found.key))).toEqual(["a"]);
  });
});
