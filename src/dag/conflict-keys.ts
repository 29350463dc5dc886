import type { Codec } from "../codec/codec.ts";
import { decode, encode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { bytes } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { hashOf } from "../crypto/hash.ts";
import { compareBytes } from "../lib/bytes.ts";
import type { Hash } from "../lib/hash.ts";
import type { BundleRef } from "./bundle.ts";
import { PAYLOAD_BYTES_MAX } from "./limits.ts";

/** The most conflict keys of one vertex: each is a set of which only one vertex can win. */
export const CONFLICT_KEYS_MAX = 8;

/** The most bytes of one conflict key; whatever is longer is hashed by who declares it. */
export const CONFLICT_KEY_BYTES_MAX = 64;

/**
 * What a vertex of a leaderless network carries: the keys that it claims for itself, and the client's payload. Of all
 * vertices that declare one key at most one is ever accepted (Avalanche's conflict sets, arXiv 1906.08936, §3; an unspent
 * output is such a key, an account's number of transfer another). Without keys a vertex conflicts with nothing.
 */
export interface Envelope {
  /** Distinct, in ascending order of their bytes. */
  readonly conflictKeys: readonly Uint8Array[];
  readonly payload: Uint8Array;
}

const envelopeCodec: Codec<Envelope> = struct<Envelope>({
  conflictKeys: vec(bytes(CONFLICT_KEY_BYTES_MAX), CONFLICT_KEYS_MAX),
  payload: bytes(PAYLOAD_BYTES_MAX),
});

/** The vertex payload of an envelope; keys are sorted and said once. Too many or too long ones fail an assertion. */
export function sealEnvelope({ conflictKeys, payload }: Envelope): Uint8Array {
  const sorted = [...conflictKeys].sort(compareBytes);
  const distinct = sorted.filter((key, at) => at === 0 || compareBytes(key, sorted[at - 1] ?? key) !== 0);
  return encode(envelopeCodec, { conflictKeys: distinct, payload }, payload.length + 128);
}

/** Null where a vertex's payload is no envelope, or not in its one canonical form. */
export function openEnvelope(vertexPayload: Uint8Array): Envelope | null {
  try {
    const envelope = decode(envelopeCodec, vertexPayload);
    const { conflictKeys } = envelope;
    const isOrdered = conflictKeys.every((key, at) => {
      const before = conflictKeys[at - 1];
      return key.length > 0 && (before === undefined || compareBytes(before, key) < 0);
    });
    return isOrdered ? envelope : null;
  } catch {
    return null;
  }
}

/** The name of a declared key's conflict set. */
export function conflictSetOf(key: Uint8Array): Hash {
  return hashOf("conflict-key", key);
}

/**
 * The conflict set of the bundles that one creator made to follow one vertex of its lane: more than one is its fork. It is
 * named by that vertex and not by their nonces: a bundle that died with its second parent leaves its nonces behind, and what
 * its creator issues in its stead begins after them.
 */
export function forkSetOf({ creator, term, previous }: Pick<BundleRef, "creator" | "term" | "previous">): Hash {
  const writer = new Writer(64);
  writer.u64(creator);
  writer.u64(term);
  writer.hash(previous);
  return hashOf("fork-key", writer.finish());
}
