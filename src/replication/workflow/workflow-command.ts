import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { bool, u64 } from "../../codec/primitives.ts";
import { DecodeError } from "../../codec/reader.ts";
import { dataCodec, type StepDefinition, stepsCodec, within } from "./definition.ts";
import { HANDLERS_MAX, LEASE_MS_MAX, LEASE_MS_MIN, STEPS_MAX } from "./limits.ts";
import { nameCodec } from "./name.ts";
import { textCodec } from "./records.ts";

/** Which claim of which step, by whom: what a worker says that it holds. */
export interface Held {
  readonly run: string;
  readonly step: string;
  /** As its claim was answered. */
  readonly attempt: number;
  readonly worker: string;
}

export type WorkflowCommand =
  | { readonly kind: "start"; readonly run: string; readonly steps: readonly StepDefinition[] }
  | {
      readonly kind: "claim";
      readonly worker: string;
      /** The step that could be claimed first, of those with these handlers. */
      readonly handlers: readonly string[];
      /** LEASE_MS_MIN to LEASE_MS_MAX, from the agreed time of the command. */
      readonly leaseMs: number;
    }
  | (Held & { readonly kind: "heartbeat"; readonly leaseMs: number })
  | (Held & { readonly kind: "complete"; readonly output: Uint8Array })
  | (Held & { readonly kind: "fail"; readonly reason: string; readonly isFinal: boolean })
  /** Gives the lease back: no failure, and at once for anybody. */
  | (Held & { readonly kind: "release" })
  | { readonly kind: "cancel"; readonly run: string; readonly reason: string };

/** The output of a step that another one depends on. */
export interface StepOutput {
  readonly step: string;
  readonly output: Uint8Array;
}

/** What a worker works on, small enough to be remembered with its claim. */
export interface Given {
  readonly input: Uint8Array;
  /** Of all that the step depends on, in the order in which it names them. */
  readonly outputs: readonly StepOutput[];
}

export interface Claimed {
  readonly run: string;
  readonly step: string;
  readonly handler: string;
  readonly attempt: number;
  readonly untilMs: number;
  /** Null where it is more than GIVEN_BYTES_MAX: then it is asked for. */
  readonly given: Given | null;
}

export type WorkflowResult =
  | {
      readonly kind: "started";
      /** False: the same definition had been started under that name before. */
      readonly isNew: boolean;
    }
  | {
      readonly kind: "claimed";
      /** The agreed time of the command. */
      readonly nowMs: number;
      /** Null where nothing can be claimed now. */
      readonly task: Claimed | null;
      /** When something may be claimable, as things stand; null where nothing will. It may be over: claim again then. */
      readonly nextMs: number | null;
    }
  | { readonly kind: "extended"; readonly nowMs: number; readonly untilMs: number }
  | {
      readonly kind: "completed";
      /** Steps that became ready by it. */
      readonly released: number;
      readonly isRunEnded: boolean;
    }
  /** `retryMs`: when the step can be claimed again; null where the run has failed. */
  | { readonly kind: "failed"; readonly retryMs: number | null }
  | { readonly kind: "released" }
  | { readonly kind: "cancelled" };

/** A network remembers results of up to 4 KiB: a claim whose answer was lost must find all of it there. */
export const GIVEN_BYTES_MAX = 3_072;

const leaseCodec = within(LEASE_MS_MIN, LEASE_MS_MAX, "a lease in ms");

const held = { run: nameCodec, step: nameCodec, attempt: u64, worker: nameCodec };

export const workflowCommandCodec: Codec<WorkflowCommand> = union<WorkflowCommand>({
  start: variant("start", { run: nameCodec, steps: stepsCodec }),
  claim: variant("claim", { worker: nameCodec, handlers: vec(nameCodec, HANDLERS_MAX), leaseMs: leaseCodec }),
  heartbeat: variant("heartbeat", { ...held, leaseMs: leaseCodec }),
  complete: variant("complete", { ...held, output: dataCodec }),
  fail: variant("fail", { ...held, reason: textCodec, isFinal: bool }),
  release: variant("release", held),
  cancel: variant("cancel", { run: nameCodec, reason: textCodec }),
});

export const outputsCodec: Codec<readonly StepOutput[]> = vec(
  struct<StepOutput>({ step: nameCodec, output: dataCodec }),
  STEPS_MAX,
);

export const workflowResultCodec: Codec<WorkflowResult> = union<WorkflowResult>({
  started: variant("started", { isNew: bool }),
  claimed: variant("claimed", {
    nowMs: u64,
    task: option(
      struct<Claimed>({
        run: nameCodec,
        step: nameCodec,
        handler: nameCodec,
        attempt: u64,
        untilMs: u64,
        given: option(struct<Given>({ input: dataCodec, outputs: outputsCodec })),
      }),
    ),
    nextMs: option(u64),
  }),
  extended: variant("extended", { nowMs: u64, untilMs: u64 }),
  completed: variant("completed", { released: within(0, STEPS_MAX, "steps"), isRunEnded: bool }),
  failed: variant("failed", { retryMs: option(u64) }),
  released: variant("released", {}),
  cancelled: variant("cancelled", {}),
});

export function encodeWorkflowCommand(command: WorkflowCommand): Uint8Array {
  return encode(workflowCommandCodec, command, 1_024);
}

/** Null where the bytes are no command. Data are views. */
export function decodeWorkflowCommand(body: Uint8Array): WorkflowCommand | null {
  try {
    return decode(workflowCommandCodec, body);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

export function encodeWorkflowResult(result: WorkflowResult): Uint8Array {
  return encode(workflowResultCodec, result);
}

/** @throws DecodeError */
export function decodeWorkflowResult(bytes: Uint8Array): WorkflowResult {
  return decode(workflowResultCodec, bytes);
}
