import type { WriteBatchBytes } from "../node/ports.ts";

/** The first capacity of a `WriteBatch`'s writer, and the factor by which it grows. */
const CAPACITY_MIN = 4096;
const GROWTH = 2;

/**
 * The buffer to move out of the caller's hands. A finished `WriteBatch` owns its buffer: a plain array at offset 0, at
 * most twice as long as what was written. Anything else (a view into a larger buffer, a slice of Node's Buffer pool) may
 * be shared, and is copied.
 */
export function takeBytes(batch: WriteBatchBytes): Uint8Array<ArrayBuffer> {
  const { bytes } = batch;
  const { buffer } = bytes;
  const owned =
    buffer instanceof ArrayBuffer &&
    bytes.byteOffset === 0 &&
    !(bytes instanceof Buffer) &&
    buffer.byteLength <= Math.max(CAPACITY_MIN, bytes.length * GROWTH);
  return owned ? new Uint8Array(buffer, 0, bytes.length) : new Uint8Array(bytes);
}
