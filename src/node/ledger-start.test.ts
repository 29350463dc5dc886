import { describe, expect, test } from "bun:test";
import { networkOf } from "../../test/cluster/signing.ts";
import { encode } from "../codec/codec.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";
import { MemoryDatabase } from "../storage/memory-database.ts";
import type { BundlePool } from "./bundle-pool.ts";
import { Ledger } from "./ledger.ts";
import { hashKey, numberKey } from "./ledger-keys.ts";
import { finalizedCodec, metadataCodec } from "./ledger-rows.ts";
import { Reader } from "./reader.ts";
import { WriteBatch } from "./write-batch.ts";

const network = networkOf(4);
const bundle: Hash = network.genesis;
const creator = 0 as ValidatorIndex;

async function written(fill: (batch: WriteBatch) => void): Promise<{ ledger: Ledger; database: MemoryDatabase }> {
  const database = new MemoryDatabase();
  const ledger = new Ledger(database, network);
  const batch = new WriteBatch();
  fill(batch);
  await database.write(batch.finish());
  return { ledger, database };
}

describe("a ledger whose log begins late", () => {
  test("hands out no place before its beginning, though a crash left rows of it", async () => {
    const { ledger } = await written((batch) => {
      for (const left of [8, 9, 10, 501, 502]) batch.put("log", numberKey(left), Uint8Array.of(left % 256));
    });
    ledger.recordLogStart(new WriteBatch(), { sequence: 501 as Sequence, position: 900 as Position });
    expect(await ledger.committed(9 as Sequence, 10)).toEqual([]);
    expect((await ledger.committed(501 as Sequence, 10)).length).toBe(2);
  });

  test("does not know a vertex that is forgotten between two reads of it", async () => {
    const id = network.genesis;
    const row = {
      kind: "vertex",
      creator,
      firstNonce: 1 as Nonce,
      bundle,
      index: 0,
      position: 1 as Position,
      height: 1,
    } as const;
    const { ledger, database } = await written((batch) => {
      batch.put("metadata", hashKey(id), encode(metadataCodec, row));
    });
    const asked = ledger.vertex(id);
    const forget = new WriteBatch();
    forget.delete("metadata", hashKey(id));
    await database.write(forget.finish());
    expect(await asked).toBeNull();
  });

  test("says where it begins when what is read is forgotten meanwhile", async () => {
    const run = { bundle, creator, firstNonce: 1 as Nonce, count: 1, height: 1, batch: 1 as Sequence, timestampMs: 1 };
    const { ledger } = await written((batch) => {
      batch.put("finalized", numberKey(1), encode(finalizedCodec, run));
    });
    const find = (): Promise<null> => {
      ledger.recordLogStart(new WriteBatch(), { sequence: 2 as Sequence, position: 2 as Position });
      return Promise.resolve(null);
    };
    const reader = new Reader(network, ledger, { find } as unknown as BundlePool);
    await expect(reader.finalized({ from: 1, limit: 1 }, 1)).rejects.toThrow("begins with sequence 2");
  });
});
