import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct } from "../../codec/composites.ts";
import { u32, u64 } from "../../codec/primitives.ts";
import { CommandRejected } from "../replicated.ts";
import { word } from "./words.ts";

export const REFUSALS = [
  /** The bytes are no command. */
  "malformed",
  /** A run without steps. */
  "no-steps",
  /** Two steps of one name. */
  "duplicate-step",
  /** A dependency on a step that the run does not have. */
  "unknown-dependency",
  /** A dependency named twice. */
  "duplicate-dependency",
  /** Steps that wait for each other. */
  "cycle",
  /** Another run has the name. */
  "run-exists",
  "unknown-run",
  "unknown-step",
  /** The run has completed, failed, or was cancelled. */
  "run-ended",
  /** The step has its output already: `attempt` is the one that gave it. */
  "already-completed",
  /** The step is not held by that attempt of that worker: its lease ran out and another one took it, or it was given back. */
  "lease-lost",
  /** The run would outgrow RUN_BYTES_MAX. */
  "run-too-large",
  /** All runs together would outgrow their limits: later there may be room. */
  "full",
] as const;

export type RefusalCode = (typeof REFUSALS)[number];

/** Why a command was refused: the detail of its `CommandRejected`. */
export interface Refusal {
  readonly code: RefusalCode;
  /** The place of the step in the definition, from 0; null where it is about none. */
  readonly step: number | null;
  /** The place among that step's dependencies; null where it is about none. */
  readonly dependency: number | null;
  /** The step's last attempt, where it is about a lease. */
  readonly attempt: number | null;
}

export const refusalCodec: Codec<Refusal> = struct<Refusal>({
  code: word(REFUSALS),
  step: option(u32),
  dependency: option(u32),
  attempt: option(u64),
});

/** @throws DecodeError */
export function decodeRefusal(detail: Uint8Array): Refusal {
  return decode(refusalCodec, detail);
}

export function refuse(code: RefusalCode, message: string, place: Partial<Omit<Refusal, "code">> = {}): never {
  const refusal: Refusal = { code, step: null, dependency: null, attempt: null, ...place };
  throw new CommandRejected(message, encode(refusalCodec, refusal, 32));
}
