import type { Codec } from "../../codec/codec.ts";
import { struct, vec } from "../../codec/composites.ts";
import { bytes, u32 } from "../../codec/primitives.ts";
import { ATTEMPTS_MAX, BACKOFF_MS_MAX, DATA_BYTES_MAX, STEPS_MAX } from "./limits.ts";
import { nameCodec } from "./name.ts";

/** One step as who starts a run says it. */
export interface StepDefinition {
  /** Unique in its run. */
  readonly name: string;
  /** What workers claim it by. */
  readonly handler: string;
  /** Names of steps that complete before it; also of later ones. */
  readonly dependsOn: readonly string[];
  readonly input: Uint8Array;
  /** How often it may fail or lose its lease, 1 to ATTEMPTS_MAX; the last time fails the run. */
  readonly attemptsMax: number;
  /** Agreed time before a failed step can be claimed again, in milliseconds; it doubles with each failure. */
  readonly backoffMs: number;
}

export const dataCodec: Codec<Uint8Array> = bytes(DATA_BYTES_MAX);

/** A whole number within bounds. */
export function within(min: number, max: number, what: string): Codec<number> {
  return {
    sizeMin: u32.sizeMin,
    encode: (writer, value) => u32.encode(writer, value),
    decode: (reader) => {
      const value = u32.decode(reader);
      const isWithin = value >= min && value <= max;
      return isWithin ? value : reader.fail("number-over-limit", `${what} of ${value}, not of ${min} to ${max}`);
    },
  };
}

export const attemptsCodec: Codec<number> = within(1, ATTEMPTS_MAX, "attempts");
export const backoffCodec: Codec<number> = within(0, BACKOFF_MS_MAX, "a back-off in ms");

export const stepsCodec: Codec<readonly StepDefinition[]> = vec(
  struct<StepDefinition>({
    name: nameCodec,
    handler: nameCodec,
    dependsOn: vec(nameCodec, STEPS_MAX),
    input: dataCodec,
    attemptsMax: attemptsCodec,
    backoffMs: backoffCodec,
  }),
  STEPS_MAX,
);
