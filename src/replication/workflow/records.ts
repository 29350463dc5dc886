import { type Codec, encode } from "../../codec/codec.ts";
import { mapped, struct, union, variant, vec } from "../../codec/composites.ts";
import { hash, string, u32, u64 } from "../../codec/primitives.ts";
import { hashOf } from "../../crypto/hash.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Position } from "../../membership/ids.ts";
import { attemptsCodec, backoffCodec, dataCodec, within } from "./definition.ts";
import { ATTEMPTS_MAX, STEPS_MAX, TEXT_BYTES_MAX } from "./limits.ts";
import { nameCodec } from "./name.ts";
import { word } from "./words.ts";

export const textCodec: Codec<string> = string(TEXT_BYTES_MAX);

export const ENDINGS = ["completed", "failed", "cancelled"] as const;
export type Ending = (typeof ENDINGS)[number];

/** Times are agreed ones, in Unix milliseconds. */
export type RunState =
  | { readonly kind: "running" }
  | {
      readonly kind: "ended";
      readonly how: Ending;
      /** Empty for one that completed. */
      readonly reason: string;
      readonly atMs: number;
      readonly position: Position;
    };

export type StepState =
  /** Dependencies are missing. */
  | { readonly kind: "blocked" }
  | { readonly kind: "ready"; readonly fromMs: number }
  /** Also when `untilMs` is over, until another worker claims it. */
  | { readonly kind: "leased"; readonly worker: string; readonly untilMs: number }
  | { readonly kind: "completed"; readonly output: Uint8Array; readonly atMs: number }
  | { readonly kind: "failed"; readonly reason: string; readonly atMs: number }
  /** The run ended before the step. */
  | { readonly kind: "abandoned" };

export interface RunRecord {
  readonly kind: "run";
  readonly run: string;
  /** How many it has. */
  readonly steps: number;
  /** Hash of the definition: a second start of the same one is known by it. */
  readonly definition: Hash;
  /** Of the command that started it: tells runs apart and orders them. */
  readonly started: Position;
  readonly startedAtMs: number;
  readonly state: RunState;
}

export interface StepRecord {
  readonly kind: "step";
  readonly run: string;
  /** Its place in the definition, from 0. */
  readonly step: number;
  readonly name: string;
  readonly handler: string;
  /** Places of the steps before it. */
  readonly dependencies: readonly number[];
  readonly input: Uint8Array;
  readonly attemptsMax: number;
  readonly backoffMs: number;
  /** The last claim's number, from 1; 0 before the first. Whose attempt this is holds the lease. */
  readonly attempt: number;
  /** Attempts that failed, or lost their lease. */
  readonly failures: number;
  readonly state: StepState;
}

/** A part of the state: what the state's hash is of, and what a snapshot consists of. */
export type StateRecord = RunRecord | StepRecord;

export const positionCodec: Codec<Position> = mapped(
  u64,
  (value) => value as Position,
  (value) => value,
);

export const runStateCodec: Codec<RunState> = union<RunState>({
  running: variant("running", {}),
  ended: variant("ended", { how: word(ENDINGS), reason: textCodec, atMs: u64, position: positionCodec }),
});

export const stepStateCodec: Codec<StepState> = union<StepState>({
  blocked: variant("blocked", {}),
  ready: variant("ready", { fromMs: u64 }),
  leased: variant("leased", { worker: nameCodec, untilMs: u64 }),
  completed: variant("completed", { output: dataCodec, atMs: u64 }),
  failed: variant("failed", { reason: textCodec, atMs: u64 }),
  abandoned: variant("abandoned", {}),
});

/** More claims than a step can come to see; above it, `attempt + 1` would end at what a number can hold. */
const CLAIMS_MAX: number = 2 ** 48;

const attemptCodec: Codec<number> = {
  sizeMin: u64.sizeMin,
  encode: (writer, attempt) => u64.encode(writer, attempt),
  decode: (reader) => {
    const attempt = u64.decode(reader);
    return attempt <= CLAIMS_MAX ? attempt : reader.fail("number-over-limit", `an attempt of number ${attempt}`);
  },
};

const placeCodec = within(0, STEPS_MAX - 1, "a step's place");

export const recordCodec: Codec<StateRecord> = union<StateRecord>({
  run: variant("run", {
    run: nameCodec,
    steps: within(1, STEPS_MAX, "steps"),
    definition: hash,
    started: positionCodec,
    startedAtMs: u64,
    state: runStateCodec,
  }),
  step: variant("step", {
    run: nameCodec,
    step: placeCodec,
    name: nameCodec,
    handler: nameCodec,
    dependencies: vec(placeCodec, STEPS_MAX),
    input: dataCodec,
    attemptsMax: attemptsCodec,
    backoffMs: backoffCodec,
    attempt: attemptCodec,
    failures: within(0, ATTEMPTS_MAX, "failures"),
    state: stepStateCodec,
  }),
});

const namesCodec = struct<{ run: string; step: number }>({ run: nameCodec, step: u32 });

/** The record's place in the trie: of a run, or of one of its steps. */
export function pathOf(record: StateRecord): Hash {
  const step = record.kind === "run" ? 0 : record.step + 1;
  return hashOf("workflow-path", encode(namesCodec, { run: record.run, step }, 96));
}

export function encodeRecord(record: StateRecord): Uint8Array {
  return encode(recordCodec, record, record.kind === "run" ? 256 : 512 + record.input.length);
}
