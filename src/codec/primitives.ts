import { assert } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Codec } from "./codec.ts";

/** The one name of the web platform that this layer uses; pure code has no other global. */
declare class TextEncoder {
  encode(text: string): Uint8Array;
}
declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}

export const u8: Codec<number> = {
  sizeMin: 1,
  encode: (writer, value) => writer.u8(integer(value, 0xff)),
  decode: (reader) => reader.u8(),
};

export const u16: Codec<number> = {
  sizeMin: 2,
  encode: (writer, value) => writer.u16(integer(value, 0xffff)),
  decode: (reader) => reader.u16(),
};

export const u32: Codec<number> = {
  sizeMin: 4,
  encode: (writer, value) => writer.u32(integer(value, 0xffff_ffff)),
  decode: (reader) => reader.u32(),
};

/** A whole number below 2^53 in eight bytes; the wire allows more, we refuse it. */
export const u64: Codec<number> = {
  sizeMin: 8,
  encode: (writer, value) => writer.u64(integer(value, Number.MAX_SAFE_INTEGER)),
  decode: (reader) => reader.u64(),
};

export const bool: Codec<boolean> = {
  sizeMin: 1,
  encode: (writer, value) => writer.u8(value ? 1 : 0),
  decode: (reader) => {
    const byte = reader.u8();
    if (byte > 1) reader.fail("not-canonical", `a boolean of ${byte}`);
    return byte === 1;
  },
};

export const hash: Codec<Hash> = {
  sizeMin: 32,
  encode: (writer, value) => writer.hash(value),
  decode: (reader) => reader.hash(),
};

/** Exactly `size` bytes, without a length. */
export function fixedBytes(size: number): Codec<Uint8Array> {
  return {
    sizeMin: size,
    encode: (writer, value) => {
      assert(value.length === size, `${size} bytes to encode, not ${value.length}`);
      writer.bytes(value);
    },
    decode: (reader) => reader.bytes(size),
  };
}

/** Up to `sizeMax` bytes behind a u64 length. */
export function bytes(sizeMax: number): Codec<Uint8Array> {
  return {
    sizeMin: 8,
    encode: (writer, value) => {
      assert(value.length <= sizeMax, `at most ${sizeMax} bytes to encode, not ${value.length}`);
      writer.u64(value.length);
      writer.bytes(value);
    },
    decode: (reader) => {
      const size = reader.u64();
      if (size > sizeMax) reader.fail("length-over-limit", `${size} bytes claimed, at most ${sizeMax} allowed`);
      return reader.bytes(size);
    },
  };
}

/** UTF-8 text of up to `sizeMax` bytes behind a u64 length. */
export function string(sizeMax: number): Codec<string> {
  const raw = bytes(sizeMax);
  return {
    sizeMin: 8,
    encode: (writer, value) => raw.encode(writer, new TextEncoder().encode(value)),
    decode: (reader) => {
      const utf8 = raw.decode(reader);
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(utf8);
      } catch {
        return reader.fail("not-utf8", "text that is not UTF-8");
      }
    },
  };
}

function integer(value: number, max: number): number {
  assert(Number.isSafeInteger(value) && value >= 0 && value <= max, `a whole number from 0 to ${max}, not ${value}`);
  return value;
}
