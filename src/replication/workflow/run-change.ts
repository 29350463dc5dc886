import { type Codec, decode, encode } from "../../codec/codec.ts";
import { struct, vec } from "../../codec/composites.ts";
import { within } from "./definition.ts";
import { STEPS_MAX } from "./limits.ts";
import { nameCodec } from "./name.ts";
import { type Ending, ENDINGS } from "./records.ts";
import type { Run } from "./run.ts";
import { word } from "./words.ts";

const RUN_STATES: readonly ("running" | Ending)[] = ["running", ...ENDINGS];

/** What one command made of a run, for who watches: enough to know whether to look. No part of the state. */
export interface RunChange {
  readonly state: "running" | Ending;
  readonly steps: number;
  readonly completed: number;
  /** Handlers of the steps that this command made ready, ascending, each once; some may have to wait for their back-off. */
  readonly ready: readonly string[];
}

const runChangeCodec: Codec<RunChange> = struct<RunChange>({
  state: word(RUN_STATES),
  steps: within(1, STEPS_MAX, "steps"),
  completed: within(0, STEPS_MAX, "steps"),
  ready: vec(nameCodec, STEPS_MAX),
});

/** @param ready in any order */
export function encodeRunChange({ record, completed }: Run, ready: Iterable<string>): Uint8Array {
  const { state, steps } = record;
  const handlers = [...ready].sort((left, right) => (left < right ? -1 : 1));
  const change = { state: state.kind === "running" ? state.kind : state.how, steps, completed, ready: handlers };
  return encode(runChangeCodec, change, 64);
}

/** @throws DecodeError */
export function decodeRunChange(bytes: Uint8Array): RunChange {
  return decode(runChangeCodec, bytes);
}
