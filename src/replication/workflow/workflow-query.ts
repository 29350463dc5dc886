import { type Codec, decode, encode } from "../../codec/codec.ts";
import { option, struct, union, variant, vec } from "../../codec/composites.ts";
import { u32, u64 } from "../../codec/primitives.ts";
import type { Position } from "../../membership/ids.ts";
import { dataCodec, within } from "./definition.ts";
import { ATTEMPTS_MAX, HANDLERS_MAX, STEPS_MAX } from "./limits.ts";
import { nameCodec } from "./name.ts";
import { positionCodec, type RunState, runStateCodec, textCodec } from "./records.ts";
import { type StepOutput, outputsCodec } from "./workflow-command.ts";
import { word } from "./words.ts";

/** Runs of one page. */
export const RUNS_PAGE_MAX = 100;

/** A page of outputs ends with the one that reaches this many bytes. */
export const OUTPUTS_PAGE_BYTES: number = 256 * 1024;

/** What can be claimed is counted no further. */
export const CLAIMABLE_MAX = 64;

export type WorkflowQuestion =
  | { readonly kind: "status"; readonly run: string }
  /** Runs that started behind that position, in the order of their starts. */
  | { readonly kind: "runs"; readonly after: Position; readonly limit: number }
  | { readonly kind: "output"; readonly run: string; readonly step: string }
  /** What a step works on: its input, and the outputs before it from the dependency of that place on. */
  | { readonly kind: "given"; readonly run: string; readonly step: string; readonly from: number }
  /** Steps with these handlers that could be claimed at an agreed time. */
  | { readonly kind: "claimable"; readonly handlers: readonly string[]; readonly byMs: number };

export const STEP_STATES = ["blocked", "ready", "leased", "completed", "failed", "abandoned"] as const;

/** Times are agreed ones. */
export interface StepStatus {
  readonly name: string;
  readonly handler: string;
  readonly state: (typeof STEP_STATES)[number];
  readonly attempt: number;
  readonly failures: number;
  /** Who holds it; null unless leased. */
  readonly worker: string | null;
  /** From when it can be claimed, where it is ready; until when it is held, where it is leased; else null. */
  readonly timeMs: number | null;
  /** Null unless failed. */
  readonly reason: string | null;
}

export interface RunSummary {
  readonly run: string;
  readonly started: Position;
  readonly startedAtMs: number;
  readonly state: RunState;
  readonly steps: number;
  readonly completed: number;
}

export type WorkflowAnswer =
  | { readonly kind: "status"; readonly run: RunSummary; readonly steps: readonly StepStatus[] }
  /** `next` is `after` of the next page; null where there is none. */
  | { readonly kind: "runs"; readonly runs: readonly RunSummary[]; readonly next: Position | null }
  /** Null where the step has none (yet). */
  | { readonly kind: "output"; readonly output: Uint8Array | null }
  | {
      readonly kind: "given";
      readonly input: Uint8Array;
      readonly outputs: readonly StepOutput[];
      /** `from` of the next page; null where there is none. */
      readonly next: number | null;
    }
  | {
      readonly kind: "claimable";
      /** CLAIMABLE_MAX at most. */
      readonly count: number;
      /** When the first one behind that time can be claimed, as things stand; null where there is none. */
      readonly nextMs: number | null;
    }
  | { readonly kind: "unknown-run" }
  | { readonly kind: "unknown-step" };

const summaryCodec = struct<RunSummary>({
  run: nameCodec,
  started: positionCodec,
  startedAtMs: u64,
  state: runStateCodec,
  steps: within(1, STEPS_MAX, "steps"),
  completed: within(0, STEPS_MAX, "steps"),
});

const stepStatusCodec = struct<StepStatus>({
  name: nameCodec,
  handler: nameCodec,
  state: word(STEP_STATES),
  attempt: u64,
  failures: within(0, ATTEMPTS_MAX, "failures"),
  worker: option(nameCodec),
  timeMs: option(u64),
  reason: option(textCodec),
});

export const workflowQuestionCodec: Codec<WorkflowQuestion> = union<WorkflowQuestion>({
  status: variant("status", { run: nameCodec }),
  runs: variant("runs", { after: positionCodec, limit: within(1, RUNS_PAGE_MAX, "a limit") }),
  output: variant("output", { run: nameCodec, step: nameCodec }),
  given: variant("given", { run: nameCodec, step: nameCodec, from: u32 }),
  claimable: variant("claimable", { handlers: vec(nameCodec, HANDLERS_MAX), byMs: u64 }),
});

export const workflowAnswerCodec: Codec<WorkflowAnswer> = union<WorkflowAnswer>({
  status: variant("status", { run: summaryCodec, steps: vec(stepStatusCodec, STEPS_MAX) }),
  runs: variant("runs", { runs: vec(summaryCodec, RUNS_PAGE_MAX), next: option(positionCodec) }),
  output: variant("output", { output: option(dataCodec) }),
  given: variant("given", { input: dataCodec, outputs: outputsCodec, next: option(u32) }),
  claimable: variant("claimable", { count: within(0, CLAIMABLE_MAX, "a count"), nextMs: option(u64) }),
  "unknown-run": variant("unknown-run", {}),
  "unknown-step": variant("unknown-step", {}),
});

export function encodeWorkflowQuestion(question: WorkflowQuestion): Uint8Array {
  return encode(workflowQuestionCodec, question);
}

/** @throws DecodeError */
export function decodeWorkflowQuestion(bytes: Uint8Array): WorkflowQuestion {
  return decode(workflowQuestionCodec, bytes);
}

export function encodeWorkflowAnswer(answer: WorkflowAnswer): Uint8Array {
  return encode(workflowAnswerCodec, answer, 1_024);
}

/** @throws DecodeError */
export function decodeWorkflowAnswer(bytes: Uint8Array): WorkflowAnswer {
  return decode(workflowAnswerCodec, bytes);
}
