import type { Reader } from "./reader.ts";
import { Reader as ReaderOf } from "./reader.ts";
import { Writer } from "./writer.ts";

/**
 * The two directions of one wire type, in the layout of Rust's bincode 1.x defaults: little-endian fixed-width integers,
 * u64 lengths, u32 variant tags, one byte for an option. Every value has one encoding, and decoding refuses every other.
 */
export interface Codec<T> {
  /** The fewest bytes any value takes; bounds how many elements a hostile length may claim. */
  readonly sizeMin: number;
  encode(writer: Writer, value: T): void;
  /** @throws DecodeError */
  decode(reader: Reader): T;
}

/** @param sizeHint about how many bytes are expected; spares copies of large values */
export function encode<T>(codec: Codec<T>, value: T, sizeHint = 256): Uint8Array {
  const writer = new Writer(sizeHint);
  codec.encode(writer, value);
  return writer.finish();
}

/**
 * The value that exactly these bytes encode. Byte fields of the value are views into `bytes`, not copies.
 * @throws DecodeError when the bytes are short, long, or not the canonical encoding of any value
 */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new ReaderOf(bytes);
  const value = codec.decode(reader);
  reader.end();
  return value;
}
