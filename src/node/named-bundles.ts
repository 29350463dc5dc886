import { asciiBytes } from "../lib/ascii.ts";
import type { Hash } from "../lib/hash.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Sequence } from "../membership/ids.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import { bundleKey, hashKey, keyNumber, numberKey } from "./ledger-keys.ts";
import type { Database } from "./ports.ts";
import { WriteBatch } from "./write-batch.ts";

/**
 * Bundles that a place of the log names and did not execute: they were executed before, maybe long ago, or their turn had not
 * come. Who executes that place again needs them all the same, so they outlive what else is forgotten of them. A leader may
 * name what it likes.
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

export function eraseBundle(batch: WriteBatch, { held: { ref } }: StoredBundle): void {
  batch.delete("vertices", bundleKey(ref.creator, ref.firstNonce, ref.digest));
  batch.delete("metadata", hashKey(ref.digest));
}

/**
 * Lets go of what only places before the log's beginning name.
 * @param executed the lanes as they are: what may still execute stays, and so does what the log that is left executed
 */
export async function forgetNamed(
  { ledger, database }: { readonly ledger: Ledger; readonly database: Database },
  start: Sequence,
  executed: readonly LaneTip[],
): Promise<void> {
  for (let gte = asciiBytes(PREFIX); ; ) {
    const rows = await database.scan("consensus", { gte, lt: asciiBytes(`${PREFIX}~`), limit: PAGE_ROWS });
    const batch = new WriteBatch();
    for (const { key, value } of rows) {
      if (keyNumber(value) >= start) continue;
      const stored = await ledger.bundle(String.fromCharCode(...key.subarray(PREFIX.length)) as Hash);
      if (stored !== null && isOpen(stored, executed)) continue;
      batch.delete("consensus", key);
      const [first] = stored?.held.vertexIds ?? [];
      if (stored !== null && first !== undefined && (await ledger.vertex(first)) === null) eraseBundle(batch, stored);
    }
    if (batch.count > 0) await database.write(batch.finish());
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE_ROWS) return;
    gte = Uint8Array.of(...last.key, 0);
  }
}

function isOpen({ held: { ref } }: StoredBundle, executed: readonly LaneTip[]): boolean {
  return ref.firstNonce > (executed[ref.creator]?.nonce ?? 0);
}
