import type { CommandOptions, ReadOptions } from "./commands.ts";
import { CretoError } from "./creto-error.ts";
import type { CommandOutcome, QueryAnswer } from "./outcome.ts";
import type { CallOptions, Patience } from "./patience.ts";
import type { Bytes } from "./vertices.ts";
import { Alarm } from "./workflow-alarm.ts";
import type { WorkflowBell } from "./workflow-bell.ts";
import type { ByteReader } from "./workflow-bytes.ts";
import {
  checkData,
  checkHandlers,
  checkName,
  checkSteps,
  checkWhole,
  cutReason,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
} from "./workflow-checks.ts";
import * as codec from "./workflow-codec.ts";
import { WorkflowRefused } from "./workflow-refused.ts";
import type {
  Claimable,
  NothingToClaim,
  RunStatus,
  RunSummary,
  StepLease,
  WorkflowStep,
  WorkflowTask,
} from "./workflow-types.ts";

export interface WaitOptions extends CallOptions {
  /**
   * The longest pause between two looks, in milliseconds, where no node streams what happens; 1,000 unless given. The first
   * pauses are shorter. Where one does, it wakes who waits, and there is a look every 10 s beside that.
   */
  readonly pollMs?: number;
}

export interface ClaimOptions extends CommandOptions {
  /** 1,000 to 3,600,000 ms. */
  readonly leaseMs: number;
}

/** What the client gives to its parts. */
export interface WorkflowParts {
  readonly send: (command: Uint8Array, options: CommandOptions) => Promise<CommandOutcome>;
  readonly ask: (question: Uint8Array, options: ReadOptions) => Promise<QueryAnswer>;
  readonly run: <T>(options: CallOptions, work: (patience: Patience) => Promise<T>) => Promise<T>;
  readonly bell: WorkflowBell;
}

const FIRST_POLL_MS = 50;
const POLL_MS = 1_000;

/** Between two looks of who is woken when something happens. */
export const LIVE_POLL_MS = 10_000;

const PAGE_RUNS = 100;

/**
 * The workflows of a network whose application is that. Every change is a command, applied once, and survives this client.
 * What the network refuses rejects with `WorkflowRefused`.
 */
export class Workflow {
  readonly #parts: WorkflowParts;

  constructor(parts: WorkflowParts) {
    this.#parts = parts;
  }

  /** What wakes those who wait; for `runWorker`. */
  get bell(): WorkflowBell {
    return this.#parts.bell;
  }

  /**
   * Starts a run; its steps go to whichever workers serve their handlers. Started a second time with the very same steps,
   * as after a crash, it is the same run, and `isNew` is false.
   * @throws WorkflowRefused `cycle`, `unknown-dependency`, ... with the place; `run-exists`, `full`
   */
  async start(run: string, steps: readonly WorkflowStep[], options: CommandOptions = {}): Promise<{ isNew: boolean }> {
    const command = codec.startCommand(checkName(run, "a run's name"), checkSteps(steps));
    return await this.#send("started", command, options, (reader) => ({ isNew: reader.flag() }));
  }

  /** Null where there is no such run, or no longer. */
  async status(run: string, options: ReadOptions = {}): Promise<RunStatus | null> {
    const question = codec.statusQuestion(checkName(run, "a run's name"));
    const answer = await this.#ask("status", question, options, codec.statusOf);
    return typeof answer === "string" ? null : answer;
  }

  /** In the order of their starts. */
  async *runs(options: ReadOptions = {}): AsyncGenerator<RunSummary, void, undefined> {
    for (let after: number | null = 0; after !== null; ) {
      const question: Uint8Array = codec.runsQuestion(after, PAGE_RUNS);
      const page: Page | string = await this.#ask("runs", question, options, pageOf);
      if (typeof page === "string") return;
      yield* page.runs;
      after = page.next;
    }
  }

  /** What a step gave; null where it has not completed. @throws CretoError `invalid-argument` where there is no such step */
  async output(run: string, step: string, options: ReadOptions = {}): Promise<Uint8Array | null> {
    const question = codec.outputQuestion(checkName(run, "a run's name"), checkName(step, "a step's name"));
    const read = (reader: ByteReader): Uint8Array | null => reader.option(() => reader.bytes());
    return known(await this.#ask("output", question, options, read), run, step);
  }

  /** Ends it: no step is claimed any more, and those under way can only stop. @throws WorkflowRefused `run-ended`, `unknown-run` */
  async cancel(run: string, reason = "", options: CommandOptions = {}): Promise<void> {
    const command = codec.cancelCommand(checkName(run, "a run's name"), cutReason(reason));
    await this.#send("cancelled", command, options, () => undefined);
  }

  /** Resolves when the run has ended, however; waits as long as it takes unless given `timeoutMs`. */
  async wait(run: string, options: WaitOptions = {}): Promise<RunStatus> {
    for await (const status of this.watch(run, options)) if (status.state !== "running") return status;
    throw new CretoError("aborted", `run ${run} was not watched to its end`);
  }

  /** The run as it is now and after each change that was seen; ends with the run. @throws CretoError `invalid-argument` where there is none */
  async *watch(run: string, options: WaitOptions = {}): AsyncGenerator<RunStatus, void, undefined> {
    const { pollMs = POLL_MS, timeoutMs = Number.POSITIVE_INFINITY, ...rest } = options;
    checkWhole(pollMs, 1, 3_600_000, "pollMs");
    const { bell } = this.#parts;
    const deadlineMs = performance.now() + timeoutMs;
    const alarm = new Alarm();
    const stopListening = bell.listen((change) => {
      if (change === null || change.run === run) alarm.ring();
    });
    let [seen, waitMs, isTold] = ["", FIRST_POLL_MS, true];
    try {
      for (let isFirst = true; ; isFirst = false) {
        const left = Math.max(1, deadlineMs - performance.now());
        const status = await this.#parts.run({ ...rest, timeoutMs: left }, async (patience) => {
          const pauseMs = bell.isLive && isTold ? Math.max(pollMs, LIVE_POLL_MS) : waitMs;
          if (!isFirst) await alarm.wait(pauseMs, patience.signal);
          return await this.#look(run, isFirst, patience);
        });
        const text = JSON.stringify(status);
        waitMs = text === seen ? Math.min(pollMs, 2 * waitMs) : Math.min(pollMs, FIRST_POLL_MS);
        // Who did not answer is asked again soon, whoever streams.
        isTold = status !== null;
        if (text !== seen && status !== null) yield status;
        if (status !== null && status.state !== "running") return;
        seen = text;
      }
    } finally {
      stopListening();
    }
  }

  /** The step that could be claimed first, of those with these handlers. */
  async claim(
    worker: string,
    handlers: readonly string[],
    options: ClaimOptions,
  ): Promise<WorkflowTask | NothingToClaim> {
    const { leaseMs, ...rest } = options;
    const command = codec.claimCommand(
      checkName(worker, "a worker's name"),
      checkHandlers(handlers),
      checkLease(leaseMs),
    );
    const { nowMs, task, nextMs } = await this.#send("claimed", command, rest, codec.claimedOf);
    if (task === null) return { nowMs, nextMs };
    const { run, step, attempt, handler, untilMs } = task;
    const given = task.given ?? (await this.#givenOrBack({ run, step, attempt, worker }, rest));
    if (given === null) return { nowMs, nextMs: nowMs };
    const { input, outputs } = given;
    const token = `${run}/${step}/${attempt}`;
    return { run, step, attempt, worker, handler, token, input, outputs: new Map(outputs), nowMs, untilMs };
  }

  /** Extends a lease, to so many milliseconds from now. @throws WorkflowRefused `lease-lost`, `run-ended`, ... */
  async heartbeat(lease: StepLease, leaseMs: number, options: CommandOptions = {}): Promise<{ untilMs: number }> {
    const command = codec.heartbeatCommand(lease, checkLease(leaseMs));
    return await this.#send("extended", command, options, (reader) => {
      reader.u64();
      return { untilMs: reader.u64() };
    });
  }

  /** Gives the step its output, once. @throws WorkflowRefused `already-completed`, `lease-lost`, `run-ended`, ... */
  async complete(lease: StepLease, output: Bytes, options: CommandOptions = {}): Promise<{ isRunEnded: boolean }> {
    const command = codec.completeCommand(lease, checkData(output, "an output"));
    return await this.#send("completed", command, options, (reader) => {
      reader.u32();
      return { isRunEnded: reader.flag() };
    });
  }

  /** Counts a failure; the step is tried again, unless that is `isFinal` or it was the last attempt. */
  async fail(
    lease: StepLease,
    reason: string,
    { isFinal = false, ...options }: CommandOptions & { readonly isFinal?: boolean } = {},
  ): Promise<{ readonly retryMs: number | null }> {
    const command = codec.failCommand(lease, cutReason(reason), isFinal);
    return await this.#send("failed", command, options, (reader) => ({ retryMs: reader.option(() => reader.u64()) }));
  }

  /** Gives the lease back: anybody can claim the step at once, and nothing counts as a failure. */
  async release(lease: StepLease, options: CommandOptions = {}): Promise<void> {
    await this.#send("released", codec.releaseCommand(lease), options, () => undefined);
  }

  /** How much there is to claim at an agreed time, as the node that answers knows. */
  async claimable(handlers: readonly string[], byMs: number, options: ReadOptions = {}): Promise<Claimable> {
    const question = codec.claimableQuestion(checkHandlers(handlers), byMs);
    const answer = await this.#askNear("claimable", question, options, (reader) => ({
      count: reader.u32(),
      nextMs: reader.option(() => reader.u64()),
    }));
    return known(answer, "", "");
  }

  /** Null where the node did not answer, or lags: there will be another look. */
  async #look(run: string, isFirst: boolean, patience: Patience): Promise<RunStatus | null> {
    const { signal } = patience;
    try {
      const question = codec.statusQuestion(run);
      const local = isFirst ? "unknown-run" : await this.#askNear("status", question, { signal }, codec.statusOf);
      const status = typeof local === "string" ? await this.status(run, { signal }) : local;
      if (status === null) throw new CretoError("invalid-argument", `there is no run ${run}, or no longer`);
      return status;
    } catch (error) {
      if (patience.ended !== null) throw patience.ended;
      if (error instanceof CretoError && error.isRetryable) return null;
      throw error;
    }
  }

  /** Null where the run has gone meanwhile. Where nobody can say what the step is given, the claim is given back. */
  async #givenOrBack(lease: StepLease, options: CallOptions): Promise<codec.Given | null> {
    try {
      return await this.#given(lease.run, lease.step, options);
    } catch (error) {
      if (error instanceof CretoError && error.code === "invalid-argument") return null;
      await this.release(lease).catch(() => undefined);
      throw error;
    }
  }

  /** Page by page, each as it is after all that anybody was told: the claim is known to who asks. */
  async #given(run: string, step: string, options: CallOptions): Promise<codec.Given> {
    const outputs: codec.Given["outputs"][number][] = [];
    for (let from = 0; ; ) {
      const question = codec.givenQuestion(run, step, from);
      const { signal, timeoutMs } = options;
      const reading = {
        ...(signal === undefined ? {} : { signal }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      };
      const answer = await this.#ask("given", question, reading, (reader) => ({
        ...codec.givenOf(reader),
        next: reader.option(() => reader.u32()),
      }));
      const page = known(answer, run, step);
      outputs.push(...page.outputs);
      if (page.next === null) return { input: page.input, outputs };
      from = page.next;
    }
  }

  async #send<T>(
    kind: Parameters<typeof codec.readResult>[0],
    command: Uint8Array,
    options: CommandOptions,
    read: (reader: ByteReader) => T,
  ): Promise<T> {
    const outcome = await this.#parts.send(command, options);
    const result = outcome.result ?? new Uint8Array(0);
    if (outcome.status === "applied") return codec.readResult(kind, result, read);
    throw new WorkflowRefused(outcome.reason, result);
  }

  async #ask<T>(
    kind: Parameters<typeof codec.readAnswer>[0],
    question: Uint8Array,
    options: ReadOptions,
    read: (reader: ByteReader) => T,
  ): Promise<T | "unknown-run" | "unknown-step"> {
    const { answer } = await this.#parts.ask(question, options);
    return codec.readAnswer(kind, answer, read);
  }

  /** From the state of the node that answers, unless that lags behind what the stream has told. */
  async #askNear<T>(
    kind: Parameters<typeof codec.readAnswer>[0],
    question: Uint8Array,
    options: ReadOptions,
    read: (reader: ByteReader) => T,
  ): Promise<T | "unknown-run" | "unknown-step"> {
    const toldOf = this.#parts.bell.position;
    const near = await this.#parts.ask(question, { consistency: "local", ...options });
    const isOld = near.position < toldOf && options.consistency === undefined;
    const { answer } = isOld ? await this.#parts.ask(question, options) : near;
    return codec.readAnswer(kind, answer, read);
  }
}

interface Page {
  readonly runs: readonly RunSummary[];
  readonly next: number | null;
}

function pageOf(reader: ByteReader): Page {
  return { runs: reader.list(() => codec.summaryOf(reader)), next: reader.option(() => reader.u64()) };
}

function checkLease(leaseMs: number): number {
  return checkWhole(leaseMs, LEASE_MS_MIN, LEASE_MS_MAX, "leaseMs");
}

function known<T>(answer: T | "unknown-run" | "unknown-step", run: string, step: string): T {
  if (answer === "unknown-run") throw new CretoError("invalid-argument", `there is no run ${run}, or no longer`);
  if (answer === "unknown-step") throw new CretoError("invalid-argument", `run ${run} has no step ${step}`);
  return answer;
}
