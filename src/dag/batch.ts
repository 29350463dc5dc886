import type { Codec } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { hashOf } from "../crypto/hash.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import type { Hash } from "../lib/hash.ts";
import { BATCH_BUNDLES_MAX } from "./limits.ts";

/** What one place in the log holds: bundles, in the order in which they execute. */
export interface Batch {
  /** The proposer's wall clock; execution makes it monotone. 0 in the null batch. */
  readonly timestampMs: number;
  readonly bundles: readonly Hash[];
}

/** What fills a gap after a view change (Castro & Liskov 1999, §4.4: the null request, a no-op). */
export const NULL_BATCH: Batch = { timestampMs: 0, bundles: [] };

export const batchCodec: Codec<Batch> = struct<Batch>({ timestampMs: u64, bundles: vec(hash, BATCH_BUNDLES_MAX) });

/** Independent of view and sequence, so that a new leader can propose the same batch again. */
export function batchDigest(batch: Batch): Hash {
  const writer = new Writer(64);
  writer.u64(batch.timestampMs);
  writer.u64(batch.bundles.length);
  if (batch.bundles.length > 0) writer.hash(merkleRoot(batch.bundles));
  return hashOf("batch", writer.finish());
}
