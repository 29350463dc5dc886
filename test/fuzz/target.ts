import type { Codec } from "../../src/codec/codec.ts";
import { encode } from "../../src/codec/codec.ts";
import { DecodeError, Reader } from "../../src/codec/reader.ts";
import type { Random } from "./random.ts";
import type { Field, Sources } from "./mutator.ts";

/** One decoder under attack. */
export interface Target {
  readonly name: string;
  /** Bytes of an input. */
  readonly sizeMax: number;
  /**
   * Decodes, checks every promise, and answers what happened in words that are equal for equal behaviour: the name of the
   * documented error, or the shape of the value. Whatever it throws is a finding.
   */
  run(input: Uint8Array): string | Promise<string>;
  /** Where the primitive values of an input stand, as far as it can be decoded. */
  fields?(input: Uint8Array): readonly Field[];
  /** Mutates in place of the common mutator, for texts. */
  mutate?(random: Random, input: Uint8Array, sources: Sources): Uint8Array;
}

/** A promise that does not hold. */
export class Finding extends Error {
  override readonly name = "Finding";
}

export function promise(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Finding(message);
}

/** A reader that notes every step, so that "a bounded number of steps" is a number. */
export class CountingReader extends Reader {
  readonly fields: Field[] = [];
  /** Bytes handed out as views. */
  viewed = 0;

  override u8(): number {
    return this.#noted(1, super.u8());
  }
  override u16(): number {
    return this.#noted(2, super.u16());
  }
  override u32(): number {
    return this.#noted(4, super.u32());
  }
  override u64(): number {
    return this.#noted(8, super.u64());
  }
  override bytes(size: number): Uint8Array {
    const view = this.#noted(size, super.bytes(size));
    this.viewed += view.length;
    return view;
  }
  #noted<T>(size: number, value: T): T {
    this.fields.push({ offset: this.offset - size, size });
    return value;
  }
}

/**
 * A target for a canonical codec: only a DecodeError, with its offset inside the input; no more steps than input bytes; and
 * whatever decodes encodes to the very bytes it came from. `then` puts the value to its first use and may add to the outcome.
 */
export function codecTarget<T>(name: string, codec: Codec<T>, then: (value: T) => string = () => ""): Target {
  return {
    name,
    sizeMax: 96 * 1024,
    run: (input) => {
      const decoded = tryDecode(codec, input);
      if (decoded.kind === "refused") return decoded.outcome;
      const again = encode(codec, decoded.value, input.length);
      promise(Buffer.compare(again, input) === 0, "what was decoded has another encoding");
      return `${shapeOf(decoded.value)} ${then(decoded.value)}`;
    },
    fields: (input) => fieldsOf(codec, input),
  };
}

export type Decoded<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "refused"; readonly outcome: string };

export function tryDecode<T>(codec: Codec<T>, input: Uint8Array): Decoded<T> {
  const reader = new CountingReader(input);
  try {
    const value = codec.decode(reader);
    reader.end();
    return { kind: "value", value };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    promise(error.offset >= 0 && error.offset <= input.length, `an error at byte ${error.offset} of ${input.length}`);
    return { kind: "refused", outcome: `${wordsOf(error.message)} ${error.code} ${bucket(reader.fields.length)}` };
  } finally {
    promise(reader.fields.length <= input.length, `${reader.fields.length} steps for ${input.length} bytes`);
    promise(reader.viewed <= input.length, `${reader.viewed} bytes handed out of ${input.length}`);
  }
}

export function fieldsOf(codec: Codec<unknown>, input: Uint8Array): readonly Field[] {
  const reader = new CountingReader(input);
  try {
    codec.decode(reader);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  return reader.fields;
}

/** A message without what differs from input to input: numbers, and what is quoted from the input. */
export function wordsOf(message: string): string {
  return message
    .slice(0, 400)
    .replaceAll(/"(?:[^"\\]|\\.)*"?/g, "Q")
    .replaceAll(/[0-9a-f]{8,}/g, "H")
    .replaceAll(/[^\x20-\x7e]+/g, "?")
    .replaceAll(/\d+/g, "#")
    .slice(0, 120);
}

/** The order of magnitude. */
export function bucket(count: number): number {
  return count < 3 ? count : 2 + Math.floor(Math.log2(count));
}

/** A value's kinds, depth and orders of magnitude, which tell one path through a decoder from another. */
export function shapeOf(value: unknown, depth = 0): string {
  if (value === null) return "-";
  if (value instanceof Uint8Array) return `b${bucket(value.length)}`;
  if (Array.isArray(value)) {
    const parts: readonly unknown[] = value;
    return depth > 8 ? "[" : `[${bucket(parts.length)}${parts.length === 0 ? "" : shapeOf(parts[0], depth + 1)}]`;
  }
  if (typeof value === "number") return value < 2 ? String(value) : value < 2 ** 32 ? "n" : "N";
  if (typeof value !== "object") return typeof value === "boolean" ? String(value) : "s";
  const entries = Object.entries(value);
  return entries.map(([key, part]) => (key === "kind" ? `${String(part)}:` : shapeOf(part, depth + 1))).join(",");
}
