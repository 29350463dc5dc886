import { DecodeError } from "../../codec/reader.ts";
import { present } from "../../lib/assert.ts";
import { QueryRefused } from "../replicated.ts";
import type { StepRecord } from "./records.ts";
import type { Run } from "./run.ts";
import type { Runs } from "./runs.ts";
import type { StepOutput } from "./workflow-command.ts";
import {
  CLAIMABLE_MAX,
  decodeWorkflowQuestion,
  encodeWorkflowAnswer,
  OUTPUTS_PAGE_BYTES,
  type RunSummary,
  type StepStatus,
  type WorkflowAnswer,
  type WorkflowQuestion,
} from "./workflow-query.ts";

/** @throws QueryRefused `malformed` */
export function answerTo(question: Uint8Array, runs: Runs): Uint8Array {
  try {
    return encodeWorkflowAnswer(answer(decodeWorkflowQuestion(question), runs));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new QueryRefused("malformed", `no question to the workflow application: ${error.message}`, { cause: error });
  }
}

function answer(question: WorkflowQuestion, runs: Runs): WorkflowAnswer {
  if (question.kind === "claimable") {
    const { handlers, byMs } = question;
    return { kind: "claimable", ...runs.agenda.claimable(handlers, byMs, CLAIMABLE_MAX) };
  }
  if (question.kind === "runs") return pageOf(question, runs);
  const run = runs.get(question.run);
  if (run === null) return { kind: "unknown-run" };
  if (question.kind === "status") return { kind: "status", run: summaryOf(run), steps: run.steps.map(statusOf) };
  const step = run.steps[run.places.get(question.step) ?? -1];
  if (step === undefined) return { kind: "unknown-step" };
  if (question.kind === "given") return givenOf(run, step, question.from);
  return { kind: "output", output: step.state.kind === "completed" ? step.state.output : null };
}

function pageOf({ after, limit }: Extract<WorkflowQuestion, { kind: "runs" }>, runs: Runs): WorkflowAnswer {
  const page: RunSummary[] = [];
  for (const run of runs.all()) {
    if (run.record.started <= after) continue;
    if (page.length === limit) return { kind: "runs", runs: page, next: present(page.at(-1), "a page").started };
    page.push(summaryOf(run));
  }
  return { kind: "runs", runs: page, next: null };
}

/** Of a step that is not ready yet there are the outputs that there are. */
function givenOf(run: Run, { input, dependencies }: StepRecord, from: number): WorkflowAnswer {
  const outputs: StepOutput[] = [];
  let size = 0;
  for (let at = from; at < dependencies.length; at++) {
    if (size >= OUTPUTS_PAGE_BYTES) return { kind: "given", input, outputs, next: at };
    const { name, state } = present(run.steps[dependencies[at] ?? -1], "a dependency");
    if (state.kind !== "completed") continue;
    outputs.push({ step: name, output: state.output });
    size += state.output.length;
  }
  return { kind: "given", input, outputs, next: null };
}

function summaryOf({ record, completed }: Run): RunSummary {
  const { run, started, startedAtMs, state, steps } = record;
  return { run, started, startedAtMs, state, steps, completed };
}

function statusOf({ name, handler, attempt, failures, state }: StepRecord): StepStatus {
  return {
    name,
    handler,
    state: state.kind,
    attempt,
    failures,
    worker: state.kind === "leased" ? state.worker : null,
    timeMs: state.kind === "ready" ? state.fromMs : state.kind === "leased" ? state.untilMs : null,
    reason: state.kind === "failed" ? state.reason : null,
  };
}
