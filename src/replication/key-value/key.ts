import type { Codec } from "../../codec/codec.ts";
import { string } from "../../codec/primitives.ts";

/** The longest key, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 512;

/** Any text, for the bounds of a range too: one may be empty. */
export const boundCodec: Codec<string> = string(KEY_BYTES_MAX);

/** 1 to KEY_BYTES_MAX bytes of UTF-8. */
export const keyCodec: Codec<string> = {
  sizeMin: boundCodec.sizeMin + 1,
  encode: (writer, key) => boundCodec.encode(writer, key),
  decode: (reader) => {
    const key = boundCodec.decode(reader);
    return key.length > 0 ? key : reader.fail("not-canonical", "an empty key");
  },
};

/** Why a text cannot be a key; null where it can. */
export function keyFault(key: string): string | null {
  if (key.length === 0) return "a key has at least one character";
  if (!key.isWellFormed()) return "a key is text that UTF-8 can hold: no half of a surrogate pair";
  const size = utf8Size(key);
  return size <= KEY_BYTES_MAX ? null : `a key of ${size} bytes of UTF-8, at most ${KEY_BYTES_MAX} are allowed`;
}

/** The order of the keys' UTF-8 bytes. That of JavaScript's strings is another one, above U+D7FF. */
export function compareKeys(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const difference = rankOf(left.charCodeAt(at)) - rankOf(right.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The least text above everything that begins with the prefix; null where there is none. */
export function prefixEnd(prefix: string): string | null {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    // Surrogates are no characters of their own.
    if (last < 0x10_ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return null;
}

/** Surrogates stand for what is above all of the 16-bit characters. */
function rankOf(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}

function utf8Size(text: string): number {
  let size = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // A pair of surrogates takes four bytes.
    size += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3;
  }
  return size;
}
