import { Writer } from "../codec/writer.ts";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
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
 * the struct (genesis, creator, timestamp, parents, nonce, payload).
 */
export function vertexId(genesis: Hash, vertex: Vertex): Hash {
  return vertexIdWith(vertexHeader(genesis, vertex), vertex.nonce, vertex.payload);
}

/**
 * The part of the content that all vertices of a bundle share; encoded once for all of them. In a leaderless network it
 * names all of the bundle's payloads (`contentOf`): two branches of a fork must not have a vertex in common, of which one
 * node accepts the one branch's and another the other's, and from which what follows would go on from both.
 */
export function vertexHeader(
  genesis: Hash,
  shared: Omit<Vertex, "nonce" | "payload">,
  content: Hash | null = null,
): Uint8Array {
  const writer = new Writer(192);
  writer.hash(genesis);
  writer.hash(shared.creator);
  writer.u64(shared.timestampMs);
  writer.u64(shared.parents.length);
  for (const parent of shared.parents) writer.hash(parent);
  if (content !== null) writer.hash(content);
  return writer.finish();
}

/** All payloads of a bundle, in order. */
export function contentOf(payloads: readonly Uint8Array[]): Hash {
  const writer = new Writer(8 * payloads.length + 8);
  writer.u64(payloads.length);
  for (const payload of payloads) writer.u64(payload.length);
  return hashOf("content", writer.finish(), ...payloads);
}

export function vertexIdWith(header: Uint8Array, nonce: Nonce, payload: Uint8Array): Hash {
  const writer = new Writer(16);
  writer.u64(nonce);
  writer.u64(payload.length);
  return hashOf("vertex", header, writer.finish(), payload);
}
