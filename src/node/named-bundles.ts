import type { BundleRef } from "../dag/bundle.ts";
import { asciiBytes } from "../lib/ascii.ts";
import type { Hash } from "../lib/hash.ts";
import type { Sequence } from "../membership/ids.ts";
import { bundleKey, hashKey, keyNumber, numberKey } from "./ledger-keys.ts";
import type { Database } from "./ports.ts";
import type { WriteBatch } from "./write-batch.ts";

/**
 * Bundles that a place of the log names and did not execute: they were executed before, maybe long ago, or their turn had not
 * come. Who executes that place again needs them all the same, so they outlive what else is forgotten of them. A leader may
 * name what it likes. The last bundle of a lane is kept among them, as if the log's beginning had named it.
 */
const PREFIX = "named/";

/** Rows read at a time. */
const PAGE_ROWS = 256;

const keyOf = (digest: Hash): Uint8Array => asciiBytes(PREFIX + digest);

/** Writes down the last place that names each. */
export function recordNamed(batch: WriteBatch, digests: Iterable<Hash>, sequence: Sequence): void {
  for (const digest of digests) batch.put("consensus", keyOf(digest), numberKey(sequence));
}

/** The last place that names this bundle and did not execute it; null for none. */
export async function lastNamed(database: Database, digest: Hash): Promise<number | null> {
  const row = await database.get("consensus", keyOf(digest));
  return row === undefined ? null : keyNumber(row);
}

export function forgetName(batch: WriteBatch, digest: Hash): void {
  batch.delete("consensus", keyOf(digest));
}

/** The rows of a bundle. */
export function eraseBundle(batch: WriteBatch, { creator, firstNonce, digest }: BundleRef): void {
  batch.delete("vertices", bundleKey(creator, firstNonce, digest));
  batch.delete("metadata", hashKey(digest));
}

/** Those that no place from this one on names, a page at a time. */
export async function* namedBefore(database: Database, start: Sequence): AsyncGenerator<readonly Hash[]> {
  for (let gte = asciiBytes(PREFIX); ; ) {
    const rows = await database.scan("consensus", { gte, lt: asciiBytes(`${PREFIX}~`), limit: PAGE_ROWS });
    const old = rows.filter(({ value }) => keyNumber(value) < start);
    yield old.map(({ key }) => String.fromCharCode(...key.subarray(PREFIX.length)) as Hash);
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE_ROWS) return;
    gte = Uint8Array.of(...last.key, 0);
  }
}
