import type { Branded } from "../lib/brand.ts";
import type { Hash } from "../lib/hash.ts";
import { hashOf } from "./hash.ts";

/** BLAKE3 of a node's public keys; who holds the keys holds the name. */
export type NodeId = Hash & Branded<string, "NodeId">;

export interface PublicKeys {
  /** 2,592 bytes. */
  readonly mlDsa: Uint8Array;
  /** 32 bytes; null in a network without the hybrid mode. */
  readonly ed25519: Uint8Array | null;
}

export function nodeIdOf(keys: PublicKeys): NodeId {
  const hybrid = new Uint8Array([keys.ed25519 === null ? 0 : 1]);
  return hashOf("node-id", keys.mlDsa, hybrid, keys.ed25519 ?? new Uint8Array(0)) as NodeId;
}
