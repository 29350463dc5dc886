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
  return hexOf(bytes) as Hash;
}

export function hashBytes(hash: Hash): Uint8Array {
  return bytesOf(hash);
}

/** Puts the hash's bytes into 32 bytes. */
export function putHash(target: Hex, hash: Hash): void {
  if (target.setFromHex === undefined) target.set(portableBytesOf(hash));
  else target.setFromHex(hash);
}

/** Ascending byte order. */
export function compareHashes(left: Hash, right: Hash): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Node has these from 25 on, and who checks proofs may run an older one, or an older browser. */
type Hex = Uint8Array & { toHex?(): string; setFromHex?(hex: string): unknown };

const BUILT_IN = Uint8Array as Uint8ArrayConstructor & { fromHex?(hex: string): Uint8Array };

function hexOf(bytes: Hex): string {
  return bytes.toHex?.() ?? portableHexOf(bytes);
}

function bytesOf(hex: string): Uint8Array {
  return BUILT_IN.fromHex?.(hex) ?? portableBytesOf(hex);
}

export function portableHexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of hexadecimal digits only. */
export function portableBytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}
