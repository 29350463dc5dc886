import type { Client } from "./client.ts";
import { CretoError } from "./creto-error.ts";
import { pause } from "./patience.ts";
import { randomHex } from "./random.ts";
import { LIVE_POLL_MS } from "./workflow.ts";
import { Alarm } from "./workflow-alarm.ts";
import { checkHandlers, checkName, checkWhole, LEASE_MS_MAX, LEASE_MS_MIN } from "./workflow-checks.ts";
import { HeldTask, type TaskEnd } from "./workflow-held-task.ts";
import type { StepHandler, WorkflowTask } from "./workflow-types.ts";

export interface WorkerOptions {
  readonly client: Client;
  /** By the handlers' names that steps are defined with. */
  readonly handlers: Readonly<Record<string, StepHandler>>;
  /** Steps at a time, 1 to 32; 4 unless given. */
  readonly concurrency?: number;
  /** 1,000 to 3,600,000 ms; 30,000 unless given. Extended after a third of it, for as long as the handler runs. */
  readonly leaseMs?: number;
  /** As statuses show it; random unless given. No two workers at a time may have one name. */
  readonly worker?: string;
  /** Ends the worker. */
  readonly signal?: AbortSignal;
  /** How long steps under way may go on after that, in milliseconds; 10,000 unless given. Then their signals are aborted. */
  readonly graceMs?: number;
  /** The longest pause between two looks for work where no node streams what happens, in milliseconds; 1,000 unless given. */
  readonly pollMs?: number;
  /** Told of what a handler threw, of leases that were lost, and of nodes that do not answer. */
  readonly onError?: (error: unknown, task: WorkflowTask | null) => void;
}

/** How the steps ended that this worker had claimed. */
export type WorkerReport = Readonly<Record<TaskEnd, number>>;

const CONCURRENCY_MAX = 32;
const FIRST_POLL_MS = 50;

/**
 * Claims steps, has handlers do their work, and completes them, until the signal is aborted and all that was under way has
 * ended: a handler that heeds no signal is waited for. Every step that resolves as completed did so once.
 * @throws CretoError where the network can never be worked for: another application, a client that was closed
 */
export async function runWorker(options: WorkerOptions): Promise<WorkerReport> {
  return await new Worker(options).run();
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #names: readonly string[];
  readonly #name: string;
  readonly #concurrency: number;
  readonly #leaseMs: number;
  readonly #pollMs: number;
  readonly #graceMs: number;
  /** Aborted when no more is to be claimed. */
  readonly #stopping = new AbortController();
  readonly #held = new Set<HeldTask>();
  readonly #report: Record<TaskEnd, number> = { completed: 0, failed: 0, lost: 0, released: 0 };
  /** Agreed time less this process's own; null until a claim was answered. */
  #offsetMs: number | null = null;
  /** When the last claim was sent, by this process's own time. */
  #claimedMs = 0;
  #idleMs = FIRST_POLL_MS;
  /** Rings when there may be something to do: a step was made ready, one of this worker's has ended, the worker stops. */
  readonly #alarm = new Alarm();

  constructor(options: WorkerOptions) {
    const { concurrency = 4, leaseMs = 30_000, pollMs = 1_000, graceMs = 10_000, worker = randomHex(8) } = options;
    this.#options = options;
    this.#names = checkHandlers(Object.keys(options.handlers));
    this.#name = checkName(worker, "a worker's name");
    this.#concurrency = checkWhole(concurrency, 1, CONCURRENCY_MAX, "concurrency");
    this.#leaseMs = checkWhole(leaseMs, LEASE_MS_MIN, LEASE_MS_MAX, "leaseMs");
    this.#pollMs = checkWhole(pollMs, 1, LEASE_MS_MAX, "pollMs");
    this.#graceMs = checkWhole(graceMs, 0, LEASE_MS_MAX, "graceMs");
  }

  async run(): Promise<WorkerReport> {
    const { signal } = this.#options;
    const stop = (): void => this.#stopping.abort();
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted === true) stop();
    const over = new AbortController();
    const stopListening = this.#options.client.workflow.bell.listen((change) => {
      if (change === null || change.ready.some((handler) => this.#names.includes(handler))) this.#ring();
    });
    try {
      while (!this.#stopping.signal.aborted) await this.#turn();
    } finally {
      signal?.removeEventListener("abort", stop);
      stopListening();
      stop();
      const ended = Promise.allSettled([...this.#held].map((task) => task.ended));
      const grace = pause(this.#graceMs, over.signal).then(
        () => {
          for (const task of this.#held) task.stop();
        },
        () => undefined,
      );
      await ended;
      over.abort();
      await grace;
    }
    return this.#report;
  }

  async #turn(): Promise<void> {
    const free = this.#concurrency - this.#held.size;
    if (free === 0) return await this.#idle(this.#leaseMs);
    try {
      const waitMs = await this.#look(free);
      if (waitMs > 0) await this.#idle(waitMs);
    } catch (error) {
      if (!(error instanceof CretoError) || !error.isRetryable) throw error;
      this.#options.onError?.(error, null);
      await this.#idle(this.#pollMs);
    }
  }

  /** Claims what there is, and says how long to wait before there may be more. */
  async #look(free: number): Promise<number> {
    const { count, knownMs } = await this.#due();
    if (count === 0) return this.#nextPause(knownMs);
    const claims = await Promise.allSettled(Array.from({ length: Math.min(free, count) }, () => this.#claim()));
    const waits: number[] = [];
    for (const claim of claims) {
      if (claim.status === "rejected") throw claim.reason;
      waits.push(claim.value);
    }
    return Math.max(...waits);
  }

  /**
   * A look at one node, which costs the network nothing. The first claim tells the agreed time. `knownMs` is until a step
   * can be claimed that cannot be yet.
   */
  async #due(): Promise<{ readonly count: number; readonly knownMs: number | null }> {
    if (this.#offsetMs === null) return { count: 1, knownMs: null };
    const byMs = Math.max(0, Math.floor(performance.now() + this.#offsetMs));
    const { count, nextMs } = await this.#options.client.workflow.claimable(this.#names, byMs);
    // This process's time may have stood still, as that of a computer that slept: a claim sets it right.
    const isOld = nextMs !== null && performance.now() - this.#claimedMs > this.#leaseMs;
    return { count: count === 0 && isOld ? 1 : count, knownMs: nextMs === null ? null : nextMs - byMs };
  }

  /** 0 where it claimed a step; otherwise how long to wait, in milliseconds. */
  async #claim(): Promise<number> {
    const { workflow } = this.#options.client;
    const sentMs = performance.now();
    this.#claimedMs = sentMs;
    const claim = await workflow.claim(this.#name, this.#names, { leaseMs: this.#leaseMs });
    this.#offsetMs = claim.nowMs - performance.now();
    if (!("run" in claim)) return this.#nextPause(claim.nextMs === null ? null : claim.nextMs - claim.nowMs);
    this.#idleMs = FIRST_POLL_MS;
    const handler = this.#options.handlers[claim.handler];
    if (handler === undefined)
      throw new CretoError("bad-answer", `a step of handler ${claim.handler} was not asked for`);
    const { onError = () => undefined } = this.#options;
    const task = new HeldTask(workflow, claim, handler, { leaseMs: this.#leaseMs, sentMs, onError });
    this.#held.add(task);
    if (this.#stopping.signal.aborted) task.stop();
    task.ended
      .then((end) => {
        this.#report[end] += 1;
      })
      .catch((error: unknown) => onError(error, claim))
      .finally(() => {
        this.#held.delete(task);
        // What it released can be claimed.
        this.#ring();
      });
    return 0;
  }

  /** Until the next look, unless the alarm rings before. @param knownMs until something can be claimed */
  #nextPause(knownMs: number | null): number {
    const waitMs = this.#idleMs;
    this.#idleMs = Math.min(this.#pollMs, 2 * waitMs);
    const { isLive } = this.#options.client.workflow.bell;
    const mostMs = isLive ? Math.max(this.#pollMs, LIVE_POLL_MS) : waitMs;
    return Math.max(1, Math.min(mostMs, knownMs ?? mostMs));
  }

  #ring(): void {
    this.#idleMs = FIRST_POLL_MS;
    this.#alarm.ring();
  }

  /** Until then, or until the alarm rings. */
  async #idle(ms: number): Promise<void> {
    await this.#alarm.wait(ms, this.#stopping.signal).catch(() => undefined);
  }
}
