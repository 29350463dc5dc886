import { type Codec, encode } from "../codec/codec.ts";
import { mapped, option, struct, union, variant } from "../codec/composites.ts";
import { bool, bytes, hash, string, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Hash } from "../lib/hash.ts";
import type { Position, Sequence } from "../membership/ids.ts";
import { REASON_CHARS_MAX, RESULT_BYTES_MAX } from "./replicated.ts";

/** Results up to here are remembered for those who ask again; of larger ones only the hash, in bytes. */
export const RESULT_KEPT_BYTES: number = 4 * 1024;

export type Result =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** It was too large to be remembered. */
  | { readonly kind: "hash"; readonly hash: Hash; readonly size: number };

/** What became of a client's command, once. */
export interface Outcome {
  readonly number: number;
  /** Its place in the total order, and its batch. */
  readonly position: Position;
  readonly sequence: Sequence;
  readonly status: "applied" | "rejected";
  /** The application's answer, or the detail of its refusal. */
  readonly result: Result;
  /** Null where it was applied. */
  readonly reason: string | null;
}

/** A reason has REASON_CHARS_MAX UTF-16 units, of three bytes at most. */
const REASON_BYTES_MAX: number = 3 * REASON_CHARS_MAX;

/** The bytes of the largest remembered outcome: numbers, tags, reason and result. */
export const OUTCOME_BYTES_MAX: number = 3 * 8 + 1 + 4 + 8 + RESULT_KEPT_BYTES + 1 + 8 + REASON_BYTES_MAX;

const resultCodec: Codec<Result> = union<Result>({
  bytes: variant("bytes", { bytes: bytes(RESULT_KEPT_BYTES) }),
  hash: variant("hash", { hash, size: u64 }),
});

/** A remembered outcome. One has a result of up to RESULT_KEPT_BYTES, or the hash of a larger one. */
export const outcomeCodec: Codec<Outcome> = struct<Outcome>({
  number: u64,
  position: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
  sequence: mapped(
    u64,
    (value) => value as Sequence,
    (value) => value,
  ),
  status: mapped(
    bool,
    (isApplied) => (isApplied ? "applied" : "rejected"),
    (status) => status === "applied",
  ),
  result: resultCodec,
  reason: option(string(REASON_BYTES_MAX)),
});

/** The outcome as it is remembered. The bytes are its own. */
export function encodeOutcome(outcome: Outcome): Uint8Array {
  const { result } = outcome;
  const isLarge = result.kind === "bytes" && result.bytes.length > RESULT_KEPT_BYTES;
  const kept = isLarge ? hashedResult(result.bytes) : result;
  return encode(outcomeCodec, { ...outcome, result: kept }, 64).slice();
}

function hashedResult(content: Uint8Array): Result {
  return { kind: "hash", hash: hashOf("command-result", content), size: content.length };
}

/** A reason as every replica and every later reader writes it: text that UTF-8 can hold, not longer than is remembered. */
export function cutReason(reason: string): string {
  return reason.slice(0, REASON_CHARS_MAX).toWellFormed();
}

/** Why an answer cannot be one; null where it can. */
export function resultFault(result: unknown): string | null {
  if (!(result instanceof Uint8Array)) return "its answer is no Uint8Array";
  return result.length <= RESULT_BYTES_MAX ? null : `its answer has ${result.length} bytes of ${RESULT_BYTES_MAX}`;
}
