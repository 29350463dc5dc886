/** A process to be killed: writes batches numbered from a first one on, several at a time, and prints each number once it is durable. */
import { type Hash, ZERO_HASH } from "../../src/lib/hash.ts";
import { WriteBatch } from "../../src/node/write-batch.ts";
import { openRocksDatabase } from "../../src/storage/open-rocks-database.ts";

export const ROWS_PER_BATCH = 10;
const WRITERS = 16;

export function rowKey(batch: number, row: number): Uint8Array {
  const key = new Uint8Array(5);
  new DataView(key.buffer).setUint32(0, batch);
  key[4] = row;
  return key;
}

async function main(path: string, firstBatch: number): Promise<void> {
  const identity: Hash = ZERO_HASH;
  const database = await openRocksDatabase({ path, identity, create: "if-missing" });
  let next = firstBatch;
  const write = async (): Promise<void> => {
    for (;;) {
      const number = next++;
      const batch = new WriteBatch();
      for (let row = 0; row < ROWS_PER_BATCH; row++)
        batch.put(row % 2 === 0 ? "log" : "vertices", rowKey(number, row), new Uint8Array(300));
      await database.write(batch.finish());
      process.stdout.write(`${number}\n`);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, write));
}

const path = process.argv[2];
if (import.meta.main && path !== undefined) await main(path, Number(process.argv[3]));
