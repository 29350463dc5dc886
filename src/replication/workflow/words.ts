import type { Codec } from "../../codec/codec.ts";

/** One of these words, as its place in one byte. */
export function word<W extends string>(words: readonly W[]): Codec<W> {
  return {
    sizeMin: 1,
    encode: (writer, value) => writer.u8(words.indexOf(value)),
    decode: (reader) => {
      const at = reader.u8();
      return words[at] ?? reader.fail("unknown-variant", `word ${at} of ${words.length}`);
    },
  };
}
