import type { Codec } from "../codec/codec.ts";
import { vec } from "../codec/composites.ts";
import { u32 } from "../codec/primitives.ts";
import { Writer } from "../codec/writer.ts";
import { pathCodec, type Proof, type Seal, sealCodec } from "./seal.ts";

/**
 * The encoding of a value with many proofs, in which each seal stands once: its 4,691 signature bytes cover all that a
 * validator said in one turn, and a view change repeats them for every place of the log. The seals come first, in the
 * order in which the value uses them; each proof then names its seal by number.
 */
export function withSealTable<T>(inner: (proof: Codec<Proof>) => Codec<T>, sealsMax: number): Codec<T> {
  const table = vec(sealCodec, sealsMax);
  let seals: Seal[] = [];
  let numbers = new Map<Seal, number>();
  let used = 0;
  const proof: Codec<Proof> = {
    sizeMin: 4 + 4 + pathCodec.sizeMin,
    encode: (writer, value) => {
      const number = numbers.get(value.seal) ?? seals.length;
      if (number === seals.length) {
        seals.push(value.seal);
        numbers.set(value.seal, number);
      }
      writer.u32(number);
      writer.u32(value.leafIndex);
      pathCodec.encode(writer, value.path);
    },
    decode: (reader) => {
      const number = u32.decode(reader);
      const seal = seals[number];
      if (number > used || seal === undefined)
        return reader.fail("not-canonical", `seal number ${number} out of order`);
      if (number === used) used += 1;
      return { seal, leafIndex: u32.decode(reader), path: pathCodec.decode(reader) };
    },
  };
  const value = inner(proof);
  return {
    sizeMin: table.sizeMin + value.sizeMin,
    encode: (writer, content) => {
      seals = [];
      numbers = new Map();
      const body = new Writer(1024);
      value.encode(body, content);
      table.encode(writer, seals);
      writer.bytes(body.finish());
      seals = [];
      numbers = new Map();
    },
    decode: (reader) => {
      seals = [...table.decode(reader)];
      used = 0;
      const content = value.decode(reader);
      if (used !== seals.length) reader.fail("not-canonical", `${seals.length - used} seals without use`);
      seals = [];
      return content;
    },
  };
}
