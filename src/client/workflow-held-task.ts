import { CretoError } from "./creto-error.ts";
import { pause } from "./patience.ts";
import type { Bytes } from "./vertices.ts";
import type { Workflow } from "./workflow.ts";
import { WorkflowRefused } from "./workflow-refused.ts";
import type { StepHandler, WorkflowTask } from "./workflow-types.ts";

/** `lost`: its lease ran out, or the run ended: what became of the step is for others to say. */
export type TaskEnd = "completed" | "failed" | "lost" | "released";

/** Thrown by a handler: the reason that statuses show, and whether trying again can help. */
export class StepFailed extends Error {
  override readonly name = "StepFailed";
  /** The run fails, whatever attempts the step has left. */
  readonly isFinal: boolean;

  constructor(reason: string, options: { readonly isFinal?: boolean; readonly cause?: unknown } = {}) {
    super(reason, options.cause === undefined ? undefined : { cause: options.cause });
    this.isFinal = options.isFinal ?? false;
  }
}

interface TaskParts {
  readonly leaseMs: number;
  /** `performance.now()` before the claim was sent: the lease is not older. */
  readonly sentMs: number;
  readonly onError: (error: unknown, task: WorkflowTask) => void;
}

/** What of the reasons against a command passes. */
const RETRY_MS = 500;

/** One step that this worker has claimed: its handler, its heartbeats, and its end. */
export class HeldTask {
  readonly ended: Promise<TaskEnd>;
  readonly #workflow: Workflow;
  readonly #task: WorkflowTask;
  readonly #handler: StepHandler;
  readonly #parts: TaskParts;
  /** The handler's. */
  readonly #work = new AbortController();
  readonly #renewing = new AbortController();
  #heldMs: number;
  #isStopped = false;

  constructor(workflow: Workflow, task: WorkflowTask, handler: StepHandler, parts: TaskParts) {
    this.#workflow = workflow;
    this.#task = task;
    this.#handler = handler;
    this.#parts = parts;
    this.#heldMs = parts.sentMs + parts.leaseMs;
    this.ended = this.#run();
  }

  /** Asks the handler to end; the step is given back, unless it has an output after all. */
  stop(): void {
    this.#isStopped = true;
    this.#work.abort(new CretoError("aborted", "the worker stops"));
  }

  async #run(): Promise<TaskEnd> {
    const renewal = this.#renew();
    try {
      return await this.#deliver(await this.#outcome());
    } finally {
      this.#renewing.abort();
      await renewal;
    }
  }

  async #outcome(): Promise<{ readonly output: Bytes } | { readonly error: unknown }> {
    try {
      const tools = { signal: this.#work.signal, heartbeat: () => this.#heartbeat() };
      const output: unknown = await this.#handler(this.#task, tools);
      if (typeof output === "string" || output instanceof Uint8Array) return { output };
      return { error: new StepFailed("the handler gave no bytes and no text", { isFinal: true }) };
    } catch (error) {
      return { error };
    }
  }

  async #deliver(outcome: { readonly output: Bytes } | { readonly error: unknown }): Promise<TaskEnd> {
    if ("output" in outcome)
      return await this.#settle("completed", () => this.#workflow.complete(this.#task, outcome.output));
    const { error } = outcome;
    if (this.#isStopped) return await this.#settle("released", () => this.#workflow.release(this.#task));
    if (this.#work.signal.aborted) return "lost";
    this.#parts.onError(error, this.#task);
    const isFinal = error instanceof StepFailed && error.isFinal;
    const reason = error instanceof Error ? error.message : String(error);
    return await this.#settle("failed", () => this.#workflow.fail(this.#task, reason, { isFinal }));
  }

  /** Until the network has said what became of it: applied, or refused for good. */
  async #settle(end: TaskEnd, send: () => Promise<unknown>): Promise<TaskEnd> {
    for (;;) {
      try {
        await send();
        return end;
      } catch (error) {
        if (!(error instanceof CretoError)) throw error;
        if (error.code === "invalid-argument") return await this.#failFor(error);
        if (error instanceof WorkflowRefused && error.refusal !== "full") return this.#refused(error, end);
        const isPassing = error instanceof WorkflowRefused || error.isRetryable;
        this.#parts.onError(error, this.#task);
        const isGivenUp = this.#isStopped && performance.now() > this.#heldMs;
        if (!isPassing || isGivenUp) return "lost";
        await pause(RETRY_MS, new AbortController().signal);
      }
    }
  }

  /** An output that none can be. */
  async #failFor(error: CretoError): Promise<TaskEnd> {
    this.#parts.onError(error, this.#task);
    return await this.#settle("failed", () => this.#workflow.fail(this.#task, error.message, { isFinal: true }));
  }

  /** Of a completion that was sent before and never answered, the network says that this attempt has completed. */
  async #refused(error: WorkflowRefused, end: TaskEnd): Promise<TaskEnd> {
    if (end === "completed" && this.#isOwnCompletion(error)) return end;
    this.#parts.onError(error, this.#task);
    if (error.refusal !== "run-too-large") return "lost";
    return await this.#settle("failed", () => this.#workflow.fail(this.#task, error.message, { isFinal: true }));
  }

  #isOwnCompletion(error: unknown): boolean {
    if (!(error instanceof WorkflowRefused)) return false;
    return error.refusal === "already-completed" && error.attempt === this.#task.attempt;
  }

  async #heartbeat(): Promise<void> {
    const sentMs = performance.now();
    try {
      await this.#workflow.heartbeat(this.#task, this.#parts.leaseMs);
      this.#heldMs = Math.max(this.#heldMs, sentMs + this.#parts.leaseMs);
    } catch (error) {
      if (error instanceof WorkflowRefused) this.#work.abort(error);
      throw error;
    }
  }

  /** Each third of a lease; where nodes do not answer, until the lease may be another's. */
  async #renew(): Promise<void> {
    const { signal } = this.#renewing;
    const { leaseMs, onError } = this.#parts;
    let waitMs = Math.max(1, this.#heldMs - performance.now() - (2 * leaseMs) / 3);
    while (!signal.aborted && !(this.#work.signal.aborted && !this.#isStopped)) {
      await pause(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      waitMs = leaseMs / 3;
      try {
        await this.#heartbeat();
      } catch (error) {
        if (signal.aborted || this.#isOwnCompletion(error)) return;
        onError(error, this.#task);
        waitMs = Math.min(RETRY_MS, waitMs);
        if (performance.now() > this.#heldMs) this.#work.abort(error);
      }
    }
  }
}
