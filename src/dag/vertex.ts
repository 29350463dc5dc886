import { Writer } from "../codec/writer.ts";
import type { NodeId } from "../crypto/identity.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce } from "../membership/ids.ts";

/** One client's payload, as its creator (a validator) placed it into the DAG. */
export interface Vertex {
  readonly creator: NodeId;
  /** Counts the creator's vertices from 1 without gaps; equal payloads therefore make different vertices. */
  readonly nonce: Nonce;
  /** The creator's wall clock in milliseconds since 1970. Nothing is decided by it. */
  readonly timestampMs: number;
  /** The last vertex of the creator's previous bundle; the genesis hash for its first. */
  readonly parents: readonly Hash[];
  readonly payload: Uint8Array;
}

/**
 * A vertex's identity: BLAKE3 of its canonical content, in its network (correction 6: no UUID). The layout is bincode's of
 * the struct (creator, nonce, timestamp, parents, payload).
 */
export function vertexId(genesis: Hash, vertex: Vertex): Hash {
  const writer = new Writer(192 + vertex.payload.length);
  writer.hash(genesis);
  writer.hash(vertex.creator);
  writer.u64(vertex.nonce);
  writer.u64(vertex.timestampMs);
  writer.u64(vertex.parents.length);
  for (const parent of vertex.parents) writer.hash(parent);
  writer.u64(vertex.payload.length);
  writer.bytes(vertex.payload);
  return hashOf("vertex", writer.finish());
}
