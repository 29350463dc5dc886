import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, union, variant, vec } from "../../codec/composites.ts";
import { bool, u32, u64 } from "../../codec/primitives.ts";
import { type Entry, entryCodec, VALUE_BYTES_MAX } from "./entry.ts";
import { boundCodec, KEY_BYTES_MAX, keyCodec } from "./key.ts";

/** The most entries of one answer; the next question goes on behind them. */
export const RANGE_ENTRIES_MAX = 1_000;

/** An answer to a range ends with the entry that reaches this many bytes: it is read into one message. */
export const RANGE_BYTES_MAX: number = 1024 * 1024;

/** The keys that begin with `prefix` and are not below `from`, and below `to`. */
export interface Bounds {
  /** Empty for any. */
  readonly prefix: string;
  /** Null for the first key. */
  readonly from: string | null;
  /** Not among them; null for up to the last. */
  readonly to: string | null;
}

export type KvQuestion =
  | { readonly kind: "get"; readonly key: string }
  | (Bounds & {
      readonly kind: "range";
      /** 1 to RANGE_ENTRIES_MAX. */
      readonly limit: number;
      readonly reverse: boolean;
    })
  | (Bounds & { readonly kind: "count" });

export type KvAnswer =
  | { readonly kind: "get"; readonly entry: Entry | null }
  | {
      readonly kind: "range";
      readonly entries: readonly Entry[];
      /** Where the rest begins: `from` of the next question, or `to` of the next one in reverse; null where there is no rest. */
      readonly next: string | null;
    }
  | { readonly kind: "count"; readonly count: number };

const bounds = { prefix: boundCodec, from: option(boundCodec), to: option(boundCodec) };

export const kvQuestionCodec: Codec<KvQuestion> = union<KvQuestion>({
  get: variant("get", { key: keyCodec }),
  range: variant("range", { ...bounds, limit: u32, reverse: bool }),
  count: variant("count", bounds),
});

export const kvAnswerCodec: Codec<KvAnswer> = union<KvAnswer>({
  get: variant("get", { entry: option(entryCodec) }),
  range: variant("range", { entries: vec(entryCodec, RANGE_ENTRIES_MAX), next: option(keyCodec) }),
  count: variant("count", { count: u64 }),
});

/** The bytes of the largest answer: the last entry may be the largest there is. */
export const ANSWER_BYTES_MAX: number = RANGE_BYTES_MAX + VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX + 64;

export function encodeQuestion(question: KvQuestion): Uint8Array {
  return encode(kvQuestionCodec, question);
}

/** @throws DecodeError */
export function decodeQuestion(bytes: Uint8Array): KvQuestion {
  return decode(kvQuestionCodec, bytes);
}

export function encodeAnswer(answer: KvAnswer): Uint8Array {
  return encode(kvAnswerCodec, answer);
}

/** @throws DecodeError */
export function decodeAnswer(bytes: Uint8Array): KvAnswer {
  return decode(kvAnswerCodec, bytes);
}
