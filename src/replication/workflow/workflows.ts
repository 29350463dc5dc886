import { hashOf } from "../../crypto/hash.ts";
import { present } from "../../lib/assert.ts";
import type { Position } from "../../membership/ids.ts";
import { Changes, type TakenChanges } from "../key-value/changes.ts";
import { cutReason } from "../outcome.ts";
import type { Application, CommandContext } from "../replicated.ts";
import { answerTo } from "./answers.ts";
import { graphOf } from "./graph.ts";
import { BACKOFF_MS_MAX, EXPIRIES_MAX, RUN_BYTES_MAX } from "./limits.ts";
import type { StepRecord } from "./records.ts";
import { refuse } from "./refusal.ts";
import { encodeRunChange } from "./run-change.ts";
import { firstRecords, type Run, runOf } from "./run.ts";
import { type Moment, Runs, type RunsLimits } from "./runs.ts";
import {
  type Claimed,
  decodeWorkflowCommand,
  encodeWorkflowResult,
  type Given,
  GIVEN_BYTES_MAX,
  type Held,
  type WorkflowCommand,
  type WorkflowResult,
} from "./workflow-command.ts";

type Of<K extends WorkflowCommand["kind"]> = Extract<WorkflowCommand, { kind: K }>;

/** A step that a worker holds. */
interface Holding {
  readonly run: Run;
  readonly step: StepRecord;
}

/**
 * Runs of steps that wait for each other, which workers outside claim under leases. A step completes once, after all that it
 * depends on; at most one worker holds it at any agreed time. Agreed time comes with commands and is looked at by claims
 * alone: a lease that is over is its holder's until another one claims the step.
 */
export class Workflows implements Application {
  readonly name = "workflow";
  readonly #limits: RunsLimits;
  readonly #changes = new Changes();
  #runs: Runs;

  /** @param limits less than usual, for tests */
  constructor(limits: RunsLimits = {}) {
    this.#limits = limits;
    this.#runs = new Runs(limits);
  }

  /** The body is a `WorkflowCommand`, the answer a `WorkflowResult`, the detail of a refusal a `Refusal`. */
  apply(body: Uint8Array, context: CommandContext): Uint8Array {
    const command = decodeWorkflowCommand(body);
    if (command === null) refuse("malformed", "the bytes are no command to the workflow application");
    const result = this.#run(command, body, context);
    this.#note(context.position);
    return encodeWorkflowResult(result);
  }

  /** The question is a `WorkflowQuestion`, the answer a `WorkflowAnswer`. */
  query(question: Uint8Array): Uint8Array {
    return answerTo(question, this.#runs);
  }

  snapshot(): Iterable<Uint8Array> {
    return this.#runs.snapshot();
  }

  restore(chunks: Iterable<Uint8Array>): void {
    this.#runs = Runs.restored(chunks, this.#limits);
    this.#changes.clear();
  }

  stateHash(): Uint8Array {
    return this.#runs.digest();
  }

  /**
   * What has become of runs since the last call, for those who watch: by the run's name, with a `RunChange`, or null for one
   * that was dropped. They are no part of the state; after `restore` there are none.
   */
  takeChanges(): TakenChanges {
    return this.#changes.take();
  }

  #note(position: Position): void {
    for (const [name, ready] of this.#runs.takeChanged()) {
      const run = this.#runs.get(name);
      const value = run === null ? null : encodeRunChange(run, ready);
      this.#changes.add({ position, key: name, value, version: position });
    }
  }

  #run(command: WorkflowCommand, body: Uint8Array, moment: Moment): WorkflowResult {
    switch (command.kind) {
      case "start":
        return this.#start(command, body, moment);
      case "claim":
        return this.#claim(command, moment);
      case "heartbeat":
        return this.#heartbeat(command, moment);
      case "complete":
        return this.#complete(command, moment);
      case "fail":
        return this.#fail(command, moment);
      case "release":
        return this.#release(command, moment);
      case "cancel":
        return this.#cancel(command, moment);
    }
  }

  #start({ run: name, steps }: Of<"start">, body: Uint8Array, { position, timestampMs }: Moment): WorkflowResult {
    const definition = hashOf("workflow-definition", body);
    const known = this.#runs.get(name);
    if (known !== null) {
      if (known.record.definition === definition) return { kind: "started", isNew: false };
      refuse("run-exists", `a run named ${name} has other steps: give this one another name`);
    }
    const records = firstRecords(name, steps, graphOf(steps), timestampMs);
    const state = { kind: "running" } as const;
    const started = { started: position, startedAtMs: timestampMs };
    const run = runOf({ kind: "run", run: name, steps: records.length, definition, ...started, state }, records);
    if (!this.#runs.hasRoomForRun(run.bytes))
      refuse("full", "too many runs, or too large ones, have not ended: try later");
    this.#runs.add(run);
    return { kind: "started", isNew: true };
  }

  #claim({ worker, handlers, leaseMs }: Of<"claim">, moment: Moment): WorkflowResult {
    const nowMs = moment.timestampMs;
    for (let expiries = 0; expiries < EXPIRIES_MAX; ) {
      const first = this.#runs.agenda.first(handlers);
      if (first === null || first.atMs > nowMs)
        return { kind: "claimed", nowMs, task: null, nextMs: first?.atMs ?? null };
      const run = present(this.#runs.get(first.run), "the run of a step to claim");
      const step = present(run.steps[first.step], "a step to claim");
      const failures = step.failures + (step.state.kind === "leased" ? 1 : 0);
      if (failures >= step.attemptsMax) {
        this.#failRun(run, { ...step, failures }, `the lease of attempt ${step.attempt} ran out`, moment);
        expiries += 1;
        continue;
      }
      const untilMs = later(nowMs, leaseMs);
      const next = {
        ...step,
        attempt: step.attempt + 1,
        failures,
        state: { kind: "leased", worker, untilMs },
      } as const;
      this.#runs.put(run, next);
      return { kind: "claimed", nowMs, task: claimedOf(run, next, untilMs), nextMs: null };
    }
    return { kind: "claimed", nowMs, task: null, nextMs: nowMs };
  }

  /** Never makes a lease shorter. */
  #heartbeat(command: Of<"heartbeat">, { timestampMs: nowMs }: Moment): WorkflowResult {
    const { run, step } = this.#held(command);
    const before = step.state.kind === "leased" ? step.state.untilMs : 0;
    const untilMs = Math.max(before, later(nowMs, command.leaseMs));
    this.#runs.put(run, { ...step, state: { kind: "leased", worker: command.worker, untilMs } });
    return { kind: "extended", nowMs, untilMs };
  }

  #complete(command: Of<"complete">, moment: Moment): WorkflowResult {
    const { run, step } = this.#held(command);
    const { length } = command.output;
    if (run.bytes + length > RUN_BYTES_MAX)
      refuse("run-too-large", `run ${command.run} would have more than ${RUN_BYTES_MAX} bytes of inputs and outputs`);
    if (!this.#runs.hasRoom(length)) refuse("full", "the runs that have not ended are too large together: try later");
    const output = command.output.slice();
    this.#runs.put(run, { ...step, state: { kind: "completed", output, atMs: moment.timestampMs } });
    run.completed += 1;
    let released = 0;
    for (const place of run.dependents[step.step] ?? []) {
      const missing = present(run.missing[place], "a step that waits") - 1;
      run.missing[place] = missing;
      if (missing > 0) continue;
      const dependent = present(run.steps[place], "a step that waits");
      this.#runs.put(run, { ...dependent, state: { kind: "ready", fromMs: moment.timestampMs } });
      released += 1;
    }
    const isRunEnded = run.completed === run.steps.length;
    if (isRunEnded) this.#runs.end(run, "completed", "", moment);
    return { kind: "completed", released, isRunEnded };
  }

  #fail(command: Of<"fail">, moment: Moment): WorkflowResult {
    const { run, step } = this.#held(command);
    const failures = step.failures + 1;
    if (command.isFinal || failures >= step.attemptsMax) {
      this.#failRun(run, { ...step, failures }, command.reason, moment);
      return { kind: "failed", retryMs: null };
    }
    const fromMs = later(moment.timestampMs, Math.min(BACKOFF_MS_MAX, step.backoffMs * 2 ** (failures - 1)));
    this.#runs.put(run, { ...step, failures, state: { kind: "ready", fromMs } });
    return { kind: "failed", retryMs: fromMs };
  }

  #release(command: Of<"release">, { timestampMs: fromMs }: Moment): WorkflowResult {
    const { run, step } = this.#held(command);
    this.#runs.put(run, { ...step, state: { kind: "ready", fromMs } });
    return { kind: "released" };
  }

  #cancel({ run: name, reason }: Of<"cancel">, moment: Moment): WorkflowResult {
    const run = this.#runs.get(name) ?? refuse("unknown-run", `there is no run ${name}`);
    requireRunning(run);
    this.#runs.end(run, "cancelled", reason, moment);
    return { kind: "cancelled" };
  }

  #failRun(run: Run, step: StepRecord, reason: string, moment: Moment): void {
    this.#runs.put(run, { ...step, state: { kind: "failed", reason, atMs: moment.timestampMs } });
    this.#runs.end(run, "failed", cutReason(`step ${step.name}: ${reason}`), moment);
  }

  /** The step, where that worker's attempt is the last claim of it and nothing has become of it yet. */
  #held({ run: name, step: stepName, attempt, worker }: Held): Holding {
    const run = this.#runs.get(name) ?? refuse("unknown-run", `there is no run ${name}`);
    const place = run.places.get(stepName) ?? refuse("unknown-step", `run ${name} has no step ${stepName}`);
    const step = present(run.steps[place], "a step by its name");
    const { state } = step;
    const about = { step: place, attempt: step.attempt };
    if (state.kind === "completed")
      refuse("already-completed", `attempt ${step.attempt} has completed ${stepName}`, about);
    requireRunning(run);
    const isHeld = state.kind === "leased" && state.worker === worker && step.attempt === attempt;
    if (!isHeld) refuse("lease-lost", `${worker} does not hold ${stepName} by attempt ${attempt}`, about);
    return { run, step };
  }
}

function requireRunning({ record: { run, state } }: Run): void {
  if (state.kind === "ended")
    refuse("run-ended", `run ${run} has ${state.how === "cancelled" ? "been cancelled" : state.how}`);
}

function claimedOf(run: Run, { name, handler, attempt, input, dependencies }: StepRecord, untilMs: number): Claimed {
  let size = input.length;
  const outputs: Given["outputs"][number][] = [];
  for (const place of dependencies) {
    const before = present(run.steps[place], "a dependency");
    const output = before.state.kind === "completed" ? before.state.output : new Uint8Array(0);
    size += before.name.length + output.length + 16;
    if (size > GIVEN_BYTES_MAX) break;
    outputs.push({ step: before.name, output });
  }
  const given = size > GIVEN_BYTES_MAX ? null : { input, outputs };
  return { run: run.record.run, step: name, handler, attempt, untilMs, given };
}

/** Times stay whole numbers, whatever the validators agree upon. */
function later(nowMs: number, ms: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, nowMs + ms);
}
