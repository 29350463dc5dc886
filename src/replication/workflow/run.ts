import { present } from "../../lib/assert.ts";
import type { StepDefinition } from "./definition.ts";
import { dependentsIn, type Graph } from "./graph.ts";
import { RUN_BYTES_MAX, STEP_BYTES } from "./limits.ts";
import type { RunRecord, StepRecord } from "./records.ts";

/** A run as its records have it, with what follows from them. Records are never changed, only replaced. */
export interface Run {
  record: RunRecord;
  readonly steps: StepRecord[];
  readonly places: ReadonlyMap<string, number>;
  readonly dependents: readonly (readonly number[])[];
  /** How many dependencies of each step have not completed. */
  readonly missing: number[];
  completed: number;
  bytes: number;
}

export function bytesOf({ input, state }: StepRecord): number {
  return STEP_BYTES + input.length + (state.kind === "completed" ? state.output.length : 0);
}

/** @param steps in their order, with dependencies that `graphOf` has accepted */
export function runOf(record: RunRecord, steps: StepRecord[]): Run {
  const graph = steps.map(({ dependencies }) => dependencies);
  const isOpen = (place: number): boolean => steps[place]?.state.kind !== "completed";
  return {
    record,
    steps,
    places: new Map(steps.map(({ name, step }) => [name, step])),
    dependents: dependentsIn(graph),
    missing: graph.map((dependencies) => dependencies.filter(isOpen).length),
    completed: steps.filter(({ step }) => !isOpen(step)).length,
    bytes: steps.reduce((sum, step) => sum + bytesOf(step), 0),
  };
}

/** The steps of a run that starts. */
export function firstRecords(run: string, steps: readonly StepDefinition[], graph: Graph, nowMs: number): StepRecord[] {
  return steps.map(({ name, handler, input, attemptsMax, backoffMs }, step) => {
    const dependencies = present(graph[step], "the step's dependencies");
    const state =
      dependencies.length === 0 ? ({ kind: "ready", fromMs: nowMs } as const) : ({ kind: "blocked" } as const);
    const data = { input: input.slice(), attemptsMax, backoffMs };
    return { kind: "step", run, step, name, handler, dependencies, ...data, attempt: 0, failures: 0, state };
  });
}

/** Why records from a snapshot are no run; null where they are. A snapshot's root says that they are the very ones. */
export function runFault(record: RunRecord | undefined, steps: readonly (StepRecord | undefined)[]): string | null {
  if (record === undefined) return "steps without their run";
  if (steps.length !== record.steps) return `${steps.length} steps, not ${record.steps}`;
  const names = new Set<string>();
  for (const step of steps) {
    if (step === undefined || names.has(step.name)) return "a step is missing, or there twice";
    if (step.dependencies.some((place) => place >= steps.length)) return `${step.name} depends on what is not there`;
    const isOpen = ["blocked", "ready", "leased"].includes(step.state.kind);
    if (isOpen && record.state.kind === "ended") return `${step.name} goes on after the run's end`;
    names.add(step.name);
  }
  const bytes = steps.reduce((sum, step) => sum + (step === undefined ? 0 : bytesOf(step)), 0);
  return bytes <= RUN_BYTES_MAX ? null : `${bytes} bytes, at most ${RUN_BYTES_MAX}`;
}
