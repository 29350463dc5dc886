import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../crypto/identity.ts";
import type { Position, Sequence } from "../../membership/ids.ts";
import type { ClientId } from "../command.ts";
import { RESULT_KEPT_BYTES } from "../outcome.ts";
import { CommandRejected, QueryRefused } from "../replicated.ts";
import type { StepDefinition } from "./definition.ts";
import { DATA_BYTES_MAX, EXPIRIES_MAX, RUN_BYTES_MAX } from "./limits.ts";
import { encodeRecord, recordCodec } from "./records.ts";
import { decodeRefusal, type Refusal } from "./refusal.ts";
import { unpackChunks } from "../snapshot-chunks.ts";
import { decodeRunChange, type RunChange } from "./run-change.ts";
import type { RunsLimits } from "./runs.ts";
import {
  type Claimed,
  decodeWorkflowResult,
  encodeWorkflowCommand,
  type WorkflowCommand,
  type WorkflowResult,
} from "./workflow-command.ts";
import {
  decodeWorkflowAnswer,
  encodeWorkflowQuestion,
  type RunSummary,
  type WorkflowAnswer,
  type WorkflowQuestion,
} from "./workflow-query.ts";
import { Workflows } from "./workflows.ts";

const LEASE_MS = 1_000;

/** The application, with an agreed time that the test moves. */
class Driver {
  nowMs = 1_000_000;
  readonly #limits: RunsLimits;
  workflows: Workflows;
  #position = 0;

  constructor(limits: RunsLimits = {}) {
    this.#limits = limits;
    this.workflows = new Workflows(limits);
  }

  bytes(body: Uint8Array): Uint8Array {
    this.#position += 1;
    return this.workflows.apply(body, {
      position: this.#position as Position,
      sequence: this.#position as Sequence,
      timestampMs: this.nowMs,
      creator: "c".repeat(64) as NodeId,
      client: "0".repeat(32) as ClientId,
      number: 1,
      seed: new Uint8Array(32),
    });
  }

  apply(command: WorkflowCommand): WorkflowResult {
    return decodeWorkflowResult(this.bytes(encodeWorkflowCommand(command)));
  }

  refusal(command: WorkflowCommand): Refusal {
    const before = this.workflows.stateHash().toHex();
    try {
      this.apply(command);
    } catch (error) {
      if (!(error instanceof CommandRejected)) throw error;
      expect(this.workflows.stateHash().toHex()).toBe(before);
      return decodeRefusal(error.detail);
    }
    throw new Error("it was not refused");
  }

  start(run: string, ...steps: readonly (Partial<StepDefinition> & { readonly name: string })[]): WorkflowResult {
    return this.apply(startOf(run, steps));
  }

  claim(worker = "w", handlers: readonly string[] = ["h"]): Claimed | null {
    const result = this.apply({ kind: "claim", worker, handlers, leaseMs: LEASE_MS });
    return result.kind === "claimed" ? result.task : null;
  }

  complete({ run, step, attempt }: Claimed, output: Uint8Array = new Uint8Array(0), worker = "w"): WorkflowResult {
    return this.apply({ kind: "complete", run, step, attempt, worker, output });
  }

  ask<K extends WorkflowAnswer["kind"]>(question: WorkflowQuestion, kind: K): Extract<WorkflowAnswer, { kind: K }> {
    const answer = decodeWorkflowAnswer(this.workflows.query(encodeWorkflowQuestion(question)));
    if (answer.kind !== kind) throw new Error(`${answer.kind}, not ${kind}`);
    return answer as Extract<WorkflowAnswer, { kind: K }>;
  }

  summary(run: string): RunSummary {
    return this.ask({ kind: "status", run }, "status").run;
  }

  runs(): readonly string[] {
    return this.ask({ kind: "runs", after: 0 as Position, limit: 100 }, "runs").runs.map(({ run }) => run);
  }

  restored(): Driver {
    const other = new Driver(this.#limits);
    other.workflows.restore([...this.workflows.snapshot()]);
    other.nowMs = this.nowMs;
    other.#position = this.#position;
    expect(other.workflows.stateHash()).toEqual(this.workflows.stateHash());
    return other;
  }
}

function startOf(
  run: string,
  steps: readonly (Partial<StepDefinition> & { readonly name: string })[],
): WorkflowCommand {
  const plain = { handler: "h", dependsOn: [], input: new Uint8Array(0), attemptsMax: 3, backoffMs: 100 };
  return { kind: "start", run, steps: steps.map((step) => ({ ...plain, ...step })) };
}

function claimed(task: Claimed | null): Claimed {
  if (task === null) throw new Error("there was nothing to claim");
  return task;
}

describe("the workflow application", () => {
  test("refuses what is no command and no question, in words", () => {
    const driver = new Driver();
    for (const bytes of [new Uint8Array(0), Uint8Array.of(9, 0, 0, 0), new Uint8Array(100).fill(255)]) {
      expect(() => driver.bytes(bytes)).toThrow(CommandRejected);
      expect(() => driver.workflows.query(bytes)).toThrow(QueryRefused);
    }
  });

  test("tells who watches which runs a command changed, and nothing of one that it refused", () => {
    const driver = new Driver({ endedRuns: 1 });
    const told = (): readonly (readonly [string, RunChange | null])[] =>
      driver.workflows.takeChanges().items.map(({ key, value }) => [key, value && decodeRunChange(value)]);
    driver.start("r", { name: "b", handler: "z" }, { name: "a", handler: "y" }, { name: "c", dependsOn: ["a"] });
    expect(told()).toEqual([["r", { state: "running", steps: 3, completed: 0, ready: ["y", "z"] }]]);
    driver.refusal({ kind: "cancel", run: "nobody", reason: "" });
    driver.start("r", { name: "b", handler: "z" }, { name: "a", handler: "y" }, { name: "c", dependsOn: ["a"] });
    expect(driver.claim("w", ["nothing"])).toBeNull();
    expect(told()).toEqual([]);
    driver.complete(claimed(driver.claim("w", ["y"])));
    const running = { state: "running", steps: 3 } as const;
    expect(told()).toEqual([
      ["r", { ...running, completed: 0, ready: [] }],
      ["r", { ...running, completed: 1, ready: ["h"] }],
    ]);
    driver.apply({ kind: "cancel", run: "r", reason: "" });
    driver.start("s", { name: "a" });
    driver.workflows.takeChanges();
    driver.apply({ kind: "cancel", run: "s", reason: "" });
    // One ended run is kept.
    expect(told()).toEqual([
      ["s", { state: "cancelled", steps: 1, completed: 0, ready: [] }],
      ["r", null],
    ]);
    driver.start("t", { name: "a" });
    driver.workflows.restore([...driver.workflows.snapshot()]);
    expect(told()).toEqual([]);
  });

  test("keeps nothing of a command's own bytes, which are the host's", () => {
    const [driver, other] = [new Driver(), new Driver()];
    const commands = (data: number): readonly WorkflowCommand[] => {
      const bytes = new Uint8Array(9).fill(data);
      const complete = { kind: "complete", run: "r", step: "a", attempt: 1, worker: "w", output: bytes } as const;
      const claim = { kind: "claim", worker: "w", handlers: ["h"], leaseMs: LEASE_MS } as const;
      return [startOf("r", [{ name: "a", input: bytes }]), claim, complete];
    };
    for (const command of commands(7)) {
      driver.apply(command);
      const body = encodeWorkflowCommand(command);
      other.bytes(body);
      body.fill(0xff);
    }
    expect(other.workflows.stateHash()).toEqual(driver.workflows.stateHash());
  });

  test("claims in the order of the times at which steps became ready, then of the runs and of their steps", () => {
    const driver = new Driver();
    driver.start("later", { name: "a" }, { name: "b" });
    driver.start("first", { name: "a", handler: "other" });
    driver.nowMs += 5;
    driver.start("last", { name: "a" });
    const names = [1, 2, 3, 4].map(() => claimed(driver.claim("w", ["other", "h"]))).map(({ run, step }) => run + step);
    expect(names).toEqual(["latera", "laterb", "firsta", "lasta"]);
    expect(driver.claim("w", ["other", "h"])).toBeNull();
    expect(driver.apply({ kind: "claim", worker: "w", handlers: ["h"], leaseMs: LEASE_MS })).toEqual({
      kind: "claimed",
      nowMs: driver.nowMs,
      task: null,
      nextMs: driver.nowMs + LEASE_MS,
    });
  });

  test("says how much can be claimed at a time, and when there will be more", () => {
    const driver = new Driver();
    const now = driver.nowMs;
    const claimable = (byMs: number, ...handlers: readonly string[]): object =>
      driver.ask({ kind: "claimable", handlers, byMs }, "claimable");
    driver.start("run", ...Array.from({ length: 70 }, (_, index) => ({ name: `s${index}` })), {
      name: "x",
      handler: "x",
    });
    expect(claimable(now - 1, "h", "x")).toMatchObject({ count: 0, nextMs: now });
    expect(claimable(now, "h", "h")).toMatchObject({ count: 64, nextMs: null });
    expect(claimable(now, "x", "none")).toMatchObject({ count: 1, nextMs: null });
    claimed(driver.claim("w", ["x"]));
    driver.nowMs += 7;
    driver.start("later", { name: "x", handler: "x" });
    expect(claimable(now, "x")).toMatchObject({ count: 0, nextMs: now + 7 });
    expect(claimable(now + 7, "x")).toMatchObject({ count: 1, nextMs: now + LEASE_MS });
    expect(claimable(now + LEASE_MS, "x")).toMatchObject({ count: 2, nextMs: null });
    expect(claimable(now)).toMatchObject({ count: 0, nextMs: null });
  });

  test("lets another worker take a step at the very end of its lease, and not before", () => {
    const driver = new Driver();
    driver.start("run", { name: "a" });
    const first = claimed(driver.claim("one"));
    driver.nowMs += LEASE_MS - 1;
    expect(driver.claim("two")).toBeNull();
    driver.nowMs += 1;
    expect(driver.claim("two")).toMatchObject({ step: "a", attempt: 2 });
    expect(driver.refusal({ kind: "heartbeat", ...first, worker: "one", leaseMs: LEASE_MS })).toMatchObject({
      code: "lease-lost",
      step: 0,
      attempt: 2,
    });
    expect(driver.refusal({ kind: "complete", ...first, worker: "one", output: new Uint8Array(0) }).code).toBe(
      "lease-lost",
    );
  });

  test("takes the completion of a lease that is over while nobody else has claimed the step", () => {
    const driver = new Driver();
    driver.start("run", { name: "a", attemptsMax: 1 });
    const task = claimed(driver.claim());
    driver.nowMs += 100 * LEASE_MS;
    expect(driver.complete(task)).toEqual({ kind: "completed", released: 0, isRunEnded: true });
    expect(driver.refusal({ kind: "complete", ...task, worker: "w", output: new Uint8Array(0) })).toMatchObject({
      code: "already-completed",
      attempt: 1,
    });
  });

  test("doubles the time before a failed step is tried again, up to an hour", () => {
    const driver = new Driver();
    driver.start("run", { name: "a", attemptsMax: 8, backoffMs: 100_000 });
    const waits: number[] = [];
    for (let failure = 1; failure < 8; failure++) {
      const task = claimed(driver.claim());
      const result = driver.apply({ kind: "fail", ...task, worker: "w", reason: "x", isFinal: false });
      if (result.kind !== "failed" || result.retryMs === null) throw new Error("it was to be tried again");
      waits.push(result.retryMs - driver.nowMs);
      driver.nowMs = result.retryMs - 1;
      expect(driver.claim()).toBeNull();
      driver.nowMs += 1;
    }
    expect(waits).toEqual([100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000, 3_600_000]);
  });

  test("ends the run of a step that lost its lease once too often, by the next claim, and a few runs at a time", () => {
    const driver = new Driver();
    for (let index = 0; index <= EXPIRIES_MAX; index++) driver.start(`run-${index}`, { name: "a", attemptsMax: 1 });
    for (let index = 0; index <= EXPIRIES_MAX; index++) claimed(driver.claim());
    driver.nowMs += LEASE_MS;
    const ended = (): number => driver.runs().filter((run) => driver.summary(run).state.kind === "ended").length;
    expect(driver.apply({ kind: "claim", worker: "w", handlers: ["h"], leaseMs: LEASE_MS })).toMatchObject({
      task: null,
      nextMs: driver.nowMs,
    });
    expect(ended()).toBe(EXPIRIES_MAX);
    expect(driver.claim()).toBeNull();
    expect(ended()).toBe(EXPIRIES_MAX + 1);
    expect(driver.summary("run-0").state).toMatchObject({
      how: "failed",
      reason: "step a: the lease of attempt 1 ran out",
    });
  });

  test("counts a lease that was given back as no failure, and nobody waits for it", () => {
    const driver = new Driver();
    driver.start("run", { name: "a", attemptsMax: 1 });
    for (let attempt = 1; attempt <= 5; attempt++) {
      const task = claimed(driver.claim());
      expect(task.attempt).toBe(attempt);
      expect(driver.apply({ kind: "release", ...task, worker: "w" })).toEqual({ kind: "released" });
    }
  });

  test("keeps every answer to a claim small enough to be remembered, and pages the rest", () => {
    const driver = new Driver();
    const names = Array.from({ length: 40 }, (_, index) => `${index}`.padStart(64, "n"));
    driver.start("run", ...names.map((name) => ({ name })), { name: "end", dependsOn: names, handler: "end" });
    const output = new Uint8Array(DATA_BYTES_MAX).fill(3);
    for (const _ of names) driver.complete(claimed(driver.claim()), output);
    const bytes = driver.bytes(
      encodeWorkflowCommand({ kind: "claim", worker: "w", handlers: ["end"], leaseMs: LEASE_MS }),
    );
    expect(bytes.length).toBeLessThan(RESULT_KEPT_BYTES);
    expect(decodeWorkflowResult(bytes)).toMatchObject({ task: { step: "end", given: null } });
    const given: string[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const page: Extract<WorkflowAnswer, { kind: "given" }> = driver.ask(
        { kind: "given", run: "run", step: "end", from },
        "given",
      );
      expect(page.outputs.length).toBeLessThanOrEqual(4);
      given.push(...page.outputs.map(({ step }) => step));
      from = page.next;
    }
    expect(given).toEqual(names);
  });

  test("answers a claim with all that the step is given, up to what is remembered", () => {
    const driver = new Driver();
    driver.start("run", { name: "a" }, { name: "b", dependsOn: ["a"], handler: "b", input: Uint8Array.of(1) });
    driver.complete(claimed(driver.claim()), new Uint8Array(3_054));
    expect(claimed(driver.claim("w", ["b"])).given?.outputs[0]?.output).toHaveLength(3_054);
    driver.start("more", { name: "a" }, { name: "b", dependsOn: ["a"], handler: "b", input: Uint8Array.of(1) });
    driver.complete(claimed(driver.claim()), new Uint8Array(3_055));
    expect(claimed(driver.claim("w", ["b"])).given).toBeNull();
  });
});

describe("the limits of the workflow application", () => {
  test("refuse a run too many, until one has ended", () => {
    const driver = new Driver({ activeRuns: 2 });
    driver.start("one", { name: "a" });
    driver.start("two", { name: "a" });
    expect(driver.refusal(startOf("three", [{ name: "a" }])).code).toBe("full");
    expect(driver.start("two", { name: "a" })).toEqual({ kind: "started", isNew: false });
    driver.apply({ kind: "cancel", run: "one", reason: "" });
    expect(driver.start("three", { name: "a" })).toEqual({ kind: "started", isNew: true });
  });

  test("refuse bytes too many, of one run and of all, by their count at every time", () => {
    const one = new Driver();
    const count = Math.floor(RUN_BYTES_MAX / DATA_BYTES_MAX);
    one.start("run", ...Array.from({ length: count }, (_, index) => ({ name: `s${index}` })));
    const output = new Uint8Array(DATA_BYTES_MAX);
    for (let index = 1; index < count; index++) one.complete(claimed(one.claim()), output);
    const last = claimed(one.claim());
    expect(one.refusal({ kind: "complete", ...last, worker: "w", output }).code).toBe("run-too-large");
    expect(one.complete(last)).toMatchObject({ isRunEnded: true });

    const all = new Driver({ activeBytes: 2_000 });
    all.start("a", { name: "a", input: new Uint8Array(400) });
    expect(all.refusal(startOf("b", [{ name: "a", input: new Uint8Array(600) }])).code).toBe("full");
    all.start("b", { name: "a" });
    const task = claimed(all.claim());
    const complete = { kind: "complete", ...task, worker: "w" } as const;
    expect(all.refusal({ ...complete, output: new Uint8Array(577) }).code).toBe("full");
    expect(all.restored().refusal({ ...complete, output: new Uint8Array(577) }).code).toBe("full");
    expect(all.restored().apply({ ...complete, output: new Uint8Array(576) })).toMatchObject({ isRunEnded: true });
    all.apply({ ...complete, output: new Uint8Array(576) });
    expect(all.start("c", { name: "a", input: new Uint8Array(900) })).toMatchObject({ isNew: true });
  });

  test("count what steps gave, of runs that go on and of those that have ended and gone", () => {
    const driver = new Driver({ activeBytes: 2_600, endedBytes: 2_600 });
    driver.start("a", { name: "a" }, { name: "b" });
    driver.complete(claimed(driver.claim()), new Uint8Array(600));
    const large = startOf("b", [{ name: "a", input: new Uint8Array(600) }]);
    expect(driver.restored().apply(startOf("b", [{ name: "a", input: new Uint8Array(464) }]))).toMatchObject({
      isNew: true,
    });
    expect(driver.refusal(large).code).toBe("full");
    expect(driver.restored().refusal(large).code).toBe("full");
    for (const run of ["a", "c", "d", "e"]) {
      if (run !== "a") driver.start(run, { name: "a", input: new Uint8Array(600) });
      driver.apply({ kind: "cancel", run, reason: "" });
    }
    expect(driver.runs()).toEqual(["d", "e"]);
  });

  test("drop the runs that ended first, also behind a restored snapshot", () => {
    let driver = new Driver({ endedRuns: 2 });
    for (const run of ["a", "b", "c", "d"]) driver.start(run, { name: "s" });
    for (const run of ["c", "a", "d"]) {
      driver.apply({ kind: "cancel", run, reason: "" });
      driver = driver.restored();
    }
    expect(driver.runs()).toEqual(["a", "b", "d"]);
    expect(driver.refusal({ kind: "cancel", run: "c", reason: "" }).code).toBe("unknown-run");
    driver.start("c", { name: "other" });
    expect(driver.runs()).toEqual(["a", "b", "d", "c"]);
    const empty = new Driver({ endedBytes: 1_000 });
    empty.start("large", { name: "s", input: new Uint8Array(600) });
    empty.apply({ kind: "cancel", run: "large", reason: "" });
    expect(empty.runs()).toEqual([]);
    expect(empty.workflows.stateHash()).toEqual(new Workflows().stateHash());
  });
});

describe("a snapshot of the workflow application", () => {
  test("is of a state whose hash stays as it is for as long as the format does", () => {
    const driver = new Driver();
    driver.start("run", { name: "a", input: Uint8Array.of(1) }, { name: "b", dependsOn: ["a"] }, { name: "c" });
    driver.complete(claimed(driver.claim()), Uint8Array.of(2));
    claimed(driver.claim());
    driver.start("other", { name: "a" });
    driver.apply({ kind: "cancel", run: "other", reason: "no" });
    expect(driver.workflows.stateHash().toHex()).toBe(
      "89290659669fc4d2f009173155bd30fd0ddf5609ad554cdd0ed2b79134fdde12",
    );
  });

  test("is of the moment when it was taken, and equal states have equal chunks", () => {
    const driver = new Driver();
    driver.start("run", { name: "a" }, { name: "b", dependsOn: ["a"] });
    const chunks = driver.workflows.snapshot();
    const hash = driver.workflows.stateHash();
    driver.complete(claimed(driver.claim()));
    const restored = new Workflows();
    restored.restore(chunks);
    expect(restored.stateHash()).toEqual(hash);
    expect([...restored.snapshot()]).toEqual([...chunks]);
  });

  test.each([
    ["without its first record", (records: Uint8Array[]) => records.slice(1)],
    ["without its last record", (records: Uint8Array[]) => records.slice(0, -1)],
    ["with a record twice", (records: Uint8Array[]) => records.flatMap((record) => [record, record])],
    ["with its records in another order", (records: Uint8Array[]) => records.toReversed()],
    ["that ends in the middle of one", (records: Uint8Array[]) => records.map((chunk) => chunk.slice(0, -1))],
  ])("is refused: one %s", (_, change) => {
    const driver = new Driver();
    driver.start("run", { name: "a", input: new Uint8Array(65_536) });
    const records = [...unpackChunks(recordCodec, driver.workflows.snapshot())].map(encodeRecord);
    expect(records).toHaveLength(2);
    expect(() => new Workflows().restore(records)).not.toThrow();
    expect(() => new Workflows().restore(change(records))).toThrow();
  });
});
