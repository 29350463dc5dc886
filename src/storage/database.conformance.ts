import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { COLUMNS, type Column, type Database } from "../node/ports.ts";
import { WriteBatch } from "../node/write-batch.ts";

export interface DatabaseUnderTest {
  readonly database: Database;
  /** Closes the database and opens what it left. */
  reopen(): Promise<Database>;
  dispose(): Promise<void>;
}

type Change = readonly [key: string, value: string | null];

/** What every `Database` promises; run against each implementation. */
export function describeDatabase(name: string, open: () => Promise<DatabaseUnderTest>): void {
  describe(`${name} as a Database`, () => {
    let subject: DatabaseUnderTest;
    let database: Database;

    beforeEach(async () => {
      subject = await open();
      database = subject.database;
    });
    afterEach(() => subject.dispose());

    const put = (changes: readonly Change[], column: Column = "vertices") => database.write(batchOf(changes, column));
    const keysOf = async (range: Parameters<Database["scan"]>[1], column: Column = "vertices") =>
      (await database.scan(column, range)).map((row) => text(row.key)).join(" ");

    test("a value is read back from its column and from no other", async () => {
      for (const column of COLUMNS) await put([["key", `value in ${column}`]], column);
      for (const column of COLUMNS) expect(text(await database.get(column, bytes("key")))).toBe(`value in ${column}`);
      await put([["only here", "x"]], "log");
      expect(await database.get("vertices", bytes("only here"))).toBeUndefined();
    });

    test("a missing key is undefined, alone and among others", async () => {
      await put([
        ["a", "1"],
        ["c", "3"],
      ]);
      expect(await database.get("vertices", bytes("b"))).toBeUndefined();
      const values = await database.getMany("vertices", ["c", "b", "a", "c"].map(bytes));
      expect(values.map((value) => value && text(value))).toEqual(["3", undefined, "1", "3"]);
      expect(await database.getMany("vertices", [])).toEqual([]);
    });

    test("many keys keep their order across chunks", async () => {
      const names = Array.from({ length: 1000 }, (_, index) => `key ${index}`);
      await put(names.map((key) => [key, key.toUpperCase()]));
      const values = await database.getMany("vertices", names.toReversed().map(bytes));
      expect(values.map((value) => text(value))).toEqual(names.toReversed().map((key) => key.toUpperCase()));
    });

    test("empty keys, empty values and binary keys are rows like any other", async () => {
      const binary = Uint8Array.of(0xff, 0x00, 0x80);
      const batch = new WriteBatch();
      batch.put("log", new Uint8Array(0), bytes("the empty key"));
      batch.put("log", binary, new Uint8Array(0));
      await database.write(batch.finish());
      expect(text(await database.get("log", new Uint8Array(0)))).toBe("the empty key");
      expect(await database.get("log", binary)).toEqual(new Uint8Array(0));
      expect((await database.scan("log", { limit: 10 })).map((row) => row.key.toHex())).toEqual(["", "ff0080"]);
    });

    test("within a batch the last change of a key wins", async () => {
      await put([
        ["a", "1"],
        ["a", null],
        ["b", "1"],
        ["b", "2"],
        ["c", null],
        ["c", "3"],
      ]);
      expect(await database.get("vertices", bytes("a"))).toBeUndefined();
      expect(text(await database.get("vertices", bytes("b")))).toBe("2");
      expect(text(await database.get("vertices", bytes("c")))).toBe("3");
    });

    test("a delete removes a row, and deleting nothing is no error", async () => {
      await put([
        ["a", "1"],
        ["b", "2"],
      ]);
      await put([
        ["a", null],
        ["never there", null],
      ]);
      expect(await keysOf({ limit: 10 })).toBe("b");
    });

    test("one batch changes several columns", async () => {
      const batch = new WriteBatch();
      batch.put("vertices", bytes("hash"), bytes("vertex"));
      batch.put("index_height", bytes("height"), bytes("hash"));
      batch.delete("consensus", bytes("vote"));
      await database.write(batch.finish());
      expect(text(await database.get("vertices", bytes("hash")))).toBe("vertex");
      expect(text(await database.get("index_height", bytes("height")))).toBe("hash");
    });

    test("a scan is in byte order, includes gte and excludes lt", async () => {
      await put(["d", "b", "ba", "a", "c"].map((key) => [key, key]));
      expect(await keysOf({ limit: 10 })).toBe("a b ba c d");
      expect(await keysOf({ gte: bytes("b"), lt: bytes("c"), limit: 10 })).toBe("b ba");
      expect(await keysOf({ gte: bytes("bb"), limit: 10 })).toBe("c d");
      expect(await keysOf({ lt: bytes("b"), limit: 10 })).toBe("a");
      expect(await keysOf({ gte: bytes("c"), lt: bytes("b"), limit: 10 })).toBe("");
      expect(await keysOf({ gte: new Uint8Array(0), limit: 10 })).toBe("a b ba c d");
      expect(await keysOf({ lt: new Uint8Array(0), limit: 10 })).toBe("");
    });

    test("keys compare as unsigned bytes", async () => {
      const batch = new WriteBatch();
      for (const byte of [0x80, 0x7f, 0xff, 0x00]) batch.put("edges", Uint8Array.of(byte), bytes("x"));
      await database.write(batch.finish());
      expect((await database.scan("edges", { limit: 4 })).map((row) => row.key[0])).toEqual([0x00, 0x7f, 0x80, 0xff]);
    });

    test("a reverse scan begins at the end of its range", async () => {
      await put(["a", "b", "c", "d"].map((key) => [key, key]));
      expect(await keysOf({ reverse: true, limit: 10 })).toBe("d c b a");
      expect(await keysOf({ reverse: true, limit: 2 })).toBe("d c");
      expect(await keysOf({ gte: bytes("b"), lt: bytes("d"), reverse: true, limit: 1 })).toBe("c");
      expect(await keysOf({ gte: bytes("b"), lt: bytes("d"), reverse: true, limit: 9 })).toBe("c b");
    });

    test.each([0, 1, 127, 128, 129, 300, 1000])("a scan with limit %d gives that many rows, or all", async (limit) => {
      const names = Array.from({ length: 300 }, (_, index) => String(index).padStart(4, "0"));
      await put(names.map((key) => [key, `value ${key}`]));
      const rows = await database.scan("vertices", { limit });
      expect(rows.map((row) => text(row.key))).toEqual(names.slice(0, limit));
      expect(rows.every((row) => text(row.value) === `value ${text(row.key)}`)).toBe(true);
      expect(await keysOf({ limit, reverse: true })).toBe(names.toReversed().slice(0, limit).join(" "));
    });

    test("a limit that is no count of rows is refused", () => {
      for (const limit of [-1, 1.5, Number.NaN, 1_000_000])
        expect(() => database.scan("log", { limit })).toThrow("scan");
    });

    test("what was read is the caller's: changing it changes no row", async () => {
      await put([["a", "original"]]);
      const value = await database.get("vertices", bytes("a"));
      const [row] = await database.scan("vertices", { limit: 1 });
      value?.fill(0);
      row?.value.fill(0);
      row?.key.fill(0);
      expect(text(await database.get("vertices", bytes("a")))).toBe("original");
    });

    test("a caller may change a key or value once it is in a batch", async () => {
      const key = bytes("key");
      const value = bytes("value");
      const batch = new WriteBatch();
      batch.put("vertices", key, value);
      key.fill(0);
      value.fill(0);
      await database.write(batch.finish());
      expect(text(await database.get("vertices", bytes("key")))).toBe("value");
    });

    test("a batch inside a larger buffer is copied, not moved", async () => {
      const { bytes: packed, count } = batchOf([["a", "1"]], "vertices");
      const larger = new Uint8Array(packed.length + 20);
      larger.set(packed, 7);
      await database.write({ bytes: larger.subarray(7, 7 + packed.length), count });
      expect(larger.length).toBe(packed.length + 20);
      expect(text(await database.get("vertices", bytes("a")))).toBe("1");
    });

    test("concurrent writes take effect and resolve in the order of the calls", async () => {
      const order: number[] = [];
      const writes = Array.from({ length: 500 }, (_, index) =>
        put([
          ["last", String(index)],
          [`row ${index}`, "x"],
        ]).then(() => order.push(index)),
      );
      await Promise.all(writes);
      expect(order).toEqual(Array.from({ length: 500 }, (_, index) => index));
      expect(text(await database.get("vertices", bytes("last")))).toBe("499");
      expect((await database.scan("vertices", { limit: 1000 })).length).toBe(501);
    });

    test("a read that follows a resolved write sees it", async () => {
      for (let index = 0; index < 20; index++) {
        await put([["counter", String(index)]]);
        expect(text(await database.get("vertices", bytes("counter")))).toBe(String(index));
      }
    });

    test("readers never see half of a batch", async () => {
      let running = true;
      const writing = (async () => {
        for (let index = 0; index < 100; index++)
          await put(Array.from({ length: 50 }, (_, row) => [`r${row}`, String(index)]));
        running = false;
      })();
      while (running) {
        const values = new Set((await database.scan("vertices", { limit: 100 })).map((row) => text(row.value)));
        expect(values.size).toBeLessThanOrEqual(1);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await writing;
    });

    test("an empty batch resolves after the writes before it", async () => {
      const first = put([["a", "1"]]);
      await database.write(new WriteBatch().finish());
      expect(text(await database.get("vertices", bytes("a")))).toBe("1");
      await first;
    });

    test("a batch of 2 MiB and one of 20,000 rows arrive whole", async () => {
      const large = new WriteBatch();
      large.put("vertices", bytes("large"), new Uint8Array(2 << 20).fill(7));
      const many = new WriteBatch();
      for (let index = 0; index < 20_000; index++) many.put("log", bytes(`row ${index}`), bytes("x"));
      await Promise.all([database.write(large.finish()), database.write(many.finish())]);
      expect((await database.get("vertices", bytes("large")))?.length).toBe(2 << 20);
      expect((await database.scan("log", { limit: 10_000 })).length).toBe(10_000);
    });

    test("closing waits for the writes before it, and they are there afterwards", async () => {
      const writes = Array.from({ length: 50 }, (_, index) => put([[`row ${index}`, "x"]]));
      const reopening = subject.reopen();
      await Promise.all(writes);
      database = await reopening;
      expect((await database.scan("vertices", { limit: 100 })).length).toBe(50);
    });

    test("a closed database refuses everything, and closing twice is no error", async () => {
      await database.close();
      await database.close();
      const closed = { code: "closed" };
      expect(await put([["a", "1"]]).catch(withCode)).toMatchObject(closed);
      expect(await database.get("log", bytes("a")).catch(withCode)).toMatchObject(closed);
      expect(await database.getMany("log", [bytes("a")]).catch(withCode)).toMatchObject(closed);
      expect(await database.scan("log", { limit: 1 }).catch(withCode)).toMatchObject(closed);
    });

    test("a column that does not exist is refused, never written elsewhere", async () => {
      const unknown = "no such column" as Column;
      expect(() => batchOf([["a", "1"]], unknown)).toThrow("column");
      await expect(database.get(unknown, bytes("a"))).rejects.toThrow();
      await expect(database.scan(unknown, { limit: 1 })).rejects.toThrow();
    });

    test("a malformed batch changes nothing and ends writing", async () => {
      const { bytes: packed, count } = batchOf(
        [
          ["a", "1"],
          ["b", "2"],
        ],
        "vertices",
      );
      await expect(database.write({ bytes: packed.slice(0, packed.length - 1), count })).rejects.toThrow();
      await expect(put([["c", "3"]])).rejects.toThrow();
      expect(await keysOf({ limit: 10 })).toBe("");
    });
  });
}

export function batchOf(
  changes: readonly Change[],
  column: Column,
): { readonly bytes: Uint8Array; readonly count: number } {
  const batch = new WriteBatch();
  for (const [key, value] of changes) {
    if (value === null) batch.delete(column, bytes(key));
    else batch.put(column, bytes(key), bytes(value));
  }
  return batch.finish();
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function text(value: Uint8Array | undefined): string {
  return new TextDecoder().decode(value);
}

/** The code of a thrown StorageError, for comparison. */
function withCode(error: unknown): { readonly code: unknown } {
  return { code: error instanceof Error && "code" in error ? error.code : error };
}
