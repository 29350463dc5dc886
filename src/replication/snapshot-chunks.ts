import type { Codec } from "../codec/codec.ts";
import { Reader } from "../codec/reader.ts";
import { assert } from "../lib/assert.ts";
import { CHUNK_BYTES_MAX } from "./replicated.ts";

/**
 * Records one behind the other, in chunks that are as full as whole records allow: a function of the records alone. Nothing is
 * encoded before it is asked for.
 * @param records each at most CHUNK_BYTES_MAX
 */
export function packChunks<T>(records: Iterable<T>, encoded: (record: T) => Uint8Array): Iterable<Uint8Array> {
  return { [Symbol.iterator]: () => packed(records, encoded) };
}

function* packed<T>(records: Iterable<T>, encoded: (record: T) => Uint8Array): Generator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for (const record of records) {
    const part = encoded(record);
    assert(part.length <= CHUNK_BYTES_MAX, `a record of ${part.length} bytes in a snapshot`);
    if (size + part.length > CHUNK_BYTES_MAX) {
      yield joined(parts, size);
      parts = [];
      size = 0;
    }
    parts.push(part);
    size += part.length;
  }
  if (size > 0) yield joined(parts, size);
}

/**
 * The records of such chunks, as views into them.
 * @throws DecodeError where a chunk is no sequence of whole records
 */
export function* unpackChunks<T>(codec: Codec<T>, chunks: Iterable<Uint8Array>): Generator<T> {
  for (const chunk of chunks) {
    const reader = new Reader(chunk);
    while (reader.remaining > 0) yield codec.decode(reader);
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const chunk = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    chunk.set(part, at);
    at += part.length;
  }
  return chunk;
}
