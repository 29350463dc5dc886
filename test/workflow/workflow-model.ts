import type { StepDefinition } from "../../src/replication/workflow/definition.ts";
import type { RefusalCode } from "../../src/replication/workflow/refusal.ts";
import type { WorkflowCommand, WorkflowResult } from "../../src/replication/workflow/workflow-command.ts";

/** One step as anybody would write it down. */
interface ModelStep extends StepDefinition {
  state: "waiting" | "ready" | "leased" | "completed" | "failed";
  /** From when it can be claimed, or until when it is held. */
  timeMs: number;
  worker: string;
  attempt: number;
  failures: number;
  output: string;
}

interface ModelRun {
  readonly name: string;
  readonly definition: string;
  readonly steps: ModelStep[];
  state: "running" | "completed" | "failed" | "cancelled";
}

export type ModelAnswer = WorkflowResult | { readonly kind: "refused"; readonly code: RefusalCode };

const hex = (bytes: Uint8Array): string => bytes.toHex();
const refused = (code: RefusalCode): ModelAnswer => ({ kind: "refused", code });

/**
 * What the workflow application has to do, without any of what makes it fast: everything is looked up in a list. Definitions
 * are sound, there is room for all, and claims meet no run of more than EXPIRIES_MAX.
 */
export class WorkflowModel {
  readonly runs: ModelRun[] = [];

  apply(command: WorkflowCommand, nowMs: number): ModelAnswer {
    if (command.kind === "start") return this.#start(command, nowMs);
    if (command.kind === "claim") return this.#claim(command, nowMs);
    const run = this.runs.find(({ name }) => name === command.run);
    if (run === undefined) return refused("unknown-run");
    if (command.kind === "cancel") {
      if (run.state !== "running") return refused("run-ended");
      run.state = "cancelled";
      return { kind: "cancelled" };
    }
    const step = run.steps.find(({ name }) => name === command.step);
    if (step === undefined) return refused("unknown-step");
    if (step.state === "completed") return refused("already-completed");
    if (run.state !== "running") return refused("run-ended");
    const isHeld = step.state === "leased" && step.worker === command.worker && step.attempt === command.attempt;
    if (!isHeld) return refused("lease-lost");
    if (command.kind === "heartbeat") {
      step.timeMs = Math.max(step.timeMs, nowMs + command.leaseMs);
      return { kind: "extended", nowMs, untilMs: step.timeMs };
    }
    if (command.kind === "complete") return this.#complete(run, step, hex(command.output), nowMs);
    if (command.kind === "release") {
      step.state = "ready";
      step.timeMs = nowMs;
      return { kind: "released" };
    }
    step.failures += 1;
    if (command.isFinal || step.failures >= step.attemptsMax) {
      step.state = "failed";
      run.state = "failed";
      return { kind: "failed", retryMs: null };
    }
    step.state = "ready";
    step.timeMs = nowMs + step.backoffMs * 2 ** (step.failures - 1);
    return { kind: "failed", retryMs: step.timeMs };
  }

  #start({ run: name, steps }: Extract<WorkflowCommand, { kind: "start" }>, nowMs: number): ModelAnswer {
    const definition = JSON.stringify(steps.map((step) => ({ ...step, input: hex(step.input) })));
    const known = this.runs.find((run) => run.name === name);
    if (known !== undefined)
      return known.definition === definition ? { kind: "started", isNew: false } : refused("run-exists");
    const first = { worker: "", attempt: 0, failures: 0, output: "", timeMs: nowMs } as const;
    this.runs.push({
      name,
      definition,
      state: "running",
      steps: steps.map((step) => ({ ...step, ...first, state: step.dependsOn.length === 0 ? "ready" : "waiting" })),
    });
    return { kind: "started", isNew: true };
  }

  #claim(command: Extract<WorkflowCommand, { kind: "claim" }>, nowMs: number): ModelAnswer {
    for (;;) {
      const candidates = this.runs
        .filter(({ state }) => state === "running")
        .flatMap((run) => run.steps.map((step) => ({ run, step })))
        .filter(({ step }) => step.state === "ready" || step.state === "leased")
        .filter(({ step }) => command.handlers.includes(step.handler));
      const timeMs = Math.min(...candidates.map(({ step }) => step.timeMs));
      const found = candidates.find(({ step }) => step.timeMs === timeMs);
      if (found === undefined || timeMs > nowMs)
        return { kind: "claimed", nowMs, task: null, nextMs: found === undefined ? null : timeMs };
      const { run, step } = found;
      if (step.state === "leased") step.failures += 1;
      if (step.failures >= step.attemptsMax) {
        step.state = "failed";
        run.state = "failed";
        continue;
      }
      step.state = "leased";
      step.attempt += 1;
      step.worker = command.worker;
      step.timeMs = nowMs + command.leaseMs;
      const outputs = step.dependsOn.map((name) => {
        const before = run.steps.find((other) => other.name === name);
        return { step: name, output: Uint8Array.fromHex(before?.output ?? "") };
      });
      const { name, handler, attempt, input } = step;
      const task = { run: run.name, step: name, handler, attempt, untilMs: step.timeMs, given: { input, outputs } };
      return { kind: "claimed", nowMs, task, nextMs: null };
    }
  }

  #complete(run: ModelRun, step: ModelStep, output: string, nowMs: number): ModelAnswer {
    step.state = "completed";
    step.output = output;
    const isDone = (name: string): boolean => run.steps.find((other) => other.name === name)?.state === "completed";
    const released = run.steps.filter(({ state, dependsOn }) => state === "waiting" && dependsOn.every(isDone));
    for (const next of released) {
      next.state = "ready";
      next.timeMs = nowMs;
    }
    if (run.steps.every(({ state }) => state === "completed")) run.state = "completed";
    return { kind: "completed", released: released.length, isRunEnded: run.state === "completed" };
  }
}
