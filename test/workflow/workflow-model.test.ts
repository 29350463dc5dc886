import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../src/crypto/identity.ts";
import type { Position, Sequence } from "../../src/membership/ids.ts";
import type { ClientId } from "../../src/replication/command.ts";
import { type CommandContext, CommandRejected } from "../../src/replication/replicated.ts";
import type { StepDefinition } from "../../src/replication/workflow/definition.ts";
import { decodeRefusal } from "../../src/replication/workflow/refusal.ts";
import {
  decodeWorkflowResult,
  encodeWorkflowCommand,
  type WorkflowCommand,
  type WorkflowResult,
} from "../../src/replication/workflow/workflow-command.ts";
import { decodeWorkflowAnswer, encodeWorkflowQuestion } from "../../src/replication/workflow/workflow-query.ts";
import { Workflows } from "../../src/replication/workflow/workflows.ts";
import { type ModelAnswer, WorkflowModel } from "./workflow-model.ts";

const STEPS = ["a", "b", "c", "d", "e"];

function contextAt(position: number, timestampMs: number): CommandContext {
  return {
    position: position as Position,
    sequence: position as Sequence,
    timestampMs,
    creator: "c".repeat(64) as NodeId,
    client: "0".repeat(32) as ClientId,
    number: position,
    seed: new Uint8Array(32),
  };
}

function applied(workflows: Workflows, command: WorkflowCommand, position: number, nowMs: number): ModelAnswer {
  const before = workflows.stateHash().toHex();
  try {
    return decodeWorkflowResult(workflows.apply(encodeWorkflowCommand(command), contextAt(position, nowMs)));
  } catch (error) {
    if (!(error instanceof CommandRejected)) throw error;
    expect(workflows.stateHash().toHex()).toBe(before);
    return { kind: "refused", code: decodeRefusal(error.detail).code };
  }
}

function movedOn(workflows: Workflows): Workflows {
  const copy = new Workflows();
  copy.restore([...workflows.snapshot()]);
  expect(copy.stateHash()).toEqual(workflows.stateHash());
  return copy;
}

const run = fc.constantFrom("one", "two", "three");
const worker = fc.constantFrom("w1", "w2", "w3");
const leaseMs = fc.constantFrom(1_000, 2_000, 5_000);
const data = fc.uint8Array({ maxLength: 3 });
const handler = fc.constantFrom("x", "y");

/** Steps that depend on some of those before them, in any order. */
const definition: fc.Arbitrary<readonly StepDefinition[]> = fc
  .array(fc.record({ bits: fc.nat(31), handler, input: data, attemptsMax: fc.integer({ min: 1, max: 3 }) }), {
    minLength: 1,
    maxLength: STEPS.length,
  })
  .chain((list) => {
    const steps = list.map(({ bits, ...rest }, at) => {
      const dependsOn = STEPS.slice(0, at).filter((_, bit) => (bits >> bit) % 2 === 1);
      return { ...rest, name: STEPS[at] ?? "", dependsOn, backoffMs: 500 };
    });
    return fc.shuffledSubarray(steps, { minLength: steps.length });
  });

/** Of an attempt: one that was claimed, as a worker that keeps to the rules says it, or any other. */
interface Move {
  readonly waitMs: number;
  readonly of: { readonly claim: number } | { readonly step: string; readonly attempt: number } | null;
  readonly command: WorkflowCommand;
  readonly moves: boolean;
}

const held = { run, step: fc.constantFrom(...STEPS, "z"), attempt: fc.integer({ min: 1, max: 4 }), worker };
const command: fc.Arbitrary<WorkflowCommand> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("start" as const), run, steps: definition }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("claim" as const),
      worker,
      handlers: fc.uniqueArray(handler, { maxLength: 2 }),
      leaseMs,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("heartbeat" as const), ...held, leaseMs }) },
  { weight: 7, arbitrary: fc.record({ kind: fc.constant("complete" as const), ...held, output: data }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("fail" as const),
      ...held,
      reason: fc.constant("it broke"),
      isFinal: fc.nat(9).map((value) => value === 0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), ...held }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cancel" as const), run, reason: fc.constant("no") }),
  },
);
const move: fc.Arbitrary<Move> = fc.record({
  waitMs: fc.oneof({ weight: 3, arbitrary: fc.nat(300) }, { weight: 1, arbitrary: fc.nat(6_000) }),
  of: fc.oneof({ weight: 5, arbitrary: fc.record({ claim: fc.nat(5) }) }, { weight: 1, arbitrary: fc.constant(null) }),
  command,
  moves: fc.nat(9).map((value) => value === 0),
});
const histories = fc.array(move, { minLength: 1, maxLength: 60, size: "max" });

interface Lease {
  readonly run: string;
  readonly step: string;
  readonly attempt: number;
  readonly worker: string;
  untilMs: number;
}

/** What must hold of any history, by its commands and answers alone. */
class Witness {
  readonly #leases: Lease[] = [];
  readonly #completed = new Set<string>();
  readonly #steps = new Map<string, readonly StepDefinition[]>();
  completions = 0;

  /** The lease that was claimed so many claims ago; null where there were none. */
  recent(claim: number): Lease | null {
    return this.#leases.at(-1 - (claim % Math.max(1, this.#leases.length))) ?? null;
  }

  see(said: WorkflowCommand, answer: ModelAnswer, nowMs: number): void {
    if (said.kind === "start" && answer.kind === "started") this.#steps.set(said.run, said.steps);
    if (said.kind === "claim" && answer.kind === "claimed" && answer.task !== null) this.#claimed(said, answer, nowMs);
    if (said.kind === "heartbeat" && answer.kind === "extended") this.#leaseOf(said).untilMs = answer.untilMs;
    if (answer.kind === "failed" || answer.kind === "released") this.#leaseOf(said).untilMs = 0;
    if (said.kind === "complete" && answer.kind === "completed") {
      const name = `${said.run}/${said.step}`;
      expect(this.#completed.has(name)).toBe(false);
      this.#requireDependencies(said.run, said.step);
      this.#completed.add(name);
      this.#leaseOf(said).untilMs = 0;
      this.completions += 1;
    }
  }

  #claimed(
    { worker: by }: { worker: string },
    answer: Extract<WorkflowResult, { kind: "claimed" }>,
    nowMs: number,
  ): void {
    const { task } = answer;
    if (task === null) return;
    const ofStep = this.#leases.filter(({ run: name, step }) => name === task.run && step === task.step);
    // Nobody else holds it at this time, and its attempts have numbers of their own.
    expect(ofStep.every(({ untilMs }) => untilMs <= nowMs)).toBe(true);
    expect(ofStep.every(({ attempt }) => attempt < task.attempt)).toBe(true);
    expect(this.#completed.has(`${task.run}/${task.step}`)).toBe(false);
    this.#requireDependencies(task.run, task.step);
    const { run: name, step, attempt, untilMs } = task;
    this.#leases.push({ run: name, step, attempt, worker: by, untilMs });
  }

  #requireDependencies(name: string, step: string): void {
    const { dependsOn = [] } = this.#steps.get(name)?.find((each) => each.name === step) ?? {};
    for (const before of dependsOn) expect(this.#completed.has(`${name}/${before}`)).toBe(true);
  }

  /** Who changes a step is who claimed it last. */
  #leaseOf(said: WorkflowCommand): Lease {
    if (!("attempt" in said)) throw new Error(`a ${said.kind} holds nothing`);
    const lease = this.#leases.findLast(({ run: name, step }) => name === said.run && step === said.step);
    expect(lease).toMatchObject({ attempt: said.attempt, worker: said.worker });
    if (lease === undefined) throw new Error("nobody holds it");
    return lease;
  }
}

function addressed({ of, command: said }: Move, witness: Witness): WorkflowCommand {
  if (of === null || !("claim" in of) || !("attempt" in said)) return said;
  const lease = witness.recent(of.claim);
  if (lease === null) return said;
  const { run: name, step, attempt, worker: by } = lease;
  return { ...said, run: name, step, attempt, worker: by };
}

function statesOf(workflows: Workflows, model: WorkflowModel): void {
  for (const { name, state, steps } of model.runs) {
    const answer = decodeWorkflowAnswer(workflows.query(encodeWorkflowQuestion({ kind: "status", run: name })));
    if (answer.kind !== "status") throw new Error(`run ${name}: ${answer.kind}`);
    const { state: said, completed } = answer.run;
    expect(said.kind === "ended" ? said.how : said.kind).toBe(state);
    expect(completed).toBe(steps.filter((step) => step.state === "completed").length);
    for (const [at, step] of steps.entries()) {
      const isOver = state !== "running" && step.state !== "completed" && step.state !== "failed";
      const wanted = isOver ? "abandoned" : step.state === "waiting" ? "blocked" : step.state;
      expect(answer.steps[at]).toMatchObject({ name: step.name, state: wanted, failures: step.failures });
    }
  }
}

describe("the workflow application", () => {
  test("does what a plain model does, and keeps its invariants, whatever snapshots it goes through", () => {
    let [completions, refusals, ends] = [0, 0, 0];
    fc.assert(
      fc.property(histories, (history) => {
        let workflows = new Workflows();
        const [model, witness] = [new WorkflowModel(), new Witness()];
        let nowMs = 1_000_000;
        for (const [index, each] of history.entries()) {
          nowMs += each.waitMs;
          const said = addressed(each, witness);
          const answer = applied(workflows, said, index + 1, nowMs);
          expect(answer).toEqual(model.apply(said, nowMs));
          witness.see(said, answer, nowMs);
          if (answer.kind === "refused") refusals += 1;
          if (each.moves) workflows = movedOn(workflows);
        }
        statesOf(workflows, model);
        completions += witness.completions;
        ends += model.runs.filter(({ state }) => state === "completed").length;
      }),
      { numRuns: 500 },
    );
    // It would mean nothing if nothing happened.
    expect(Math.min(completions, refusals)).toBeGreaterThan(300);
    expect(ends).toBeGreaterThan(20);
  }, 60_000);
});
