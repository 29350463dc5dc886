import type { Branded } from "./brand.ts";

/**
 * A 32-byte value as 64 lower-case hexadecimal digits. A string rather than bytes, because it is compared, used as a
 * map key, sorted (its order is the order of the bytes) and printed far more often than it is hashed.
 */
export type Hash = Branded<string, "Hash">;

export const HASH_BYTES = 32;

export const ZERO_HASH: Hash = "0".repeat(64) as Hash;

const HASH_PATTERN = /^[0-9a-f]{64}$/;

export function isHash(text: string): text is Hash {
  return HASH_PATTERN.test(text);
}

/** The hash whose bytes these are. The caller guarantees 32 bytes. */
export function toHash(bytes: Uint8Array): Hash {
  return bytes.toHex() as Hash;
}

export function hashBytes(hash: Hash): Uint8Array {
  return Uint8Array.fromHex(hash);
}

/** Ascending byte order. */
export function compareHashes(left: Hash, right: Hash): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
