import { assert } from "../lib/assert.ts";

/**
 * Jobs that run elsewhere (the thread pool), a fixed number at a time, the others waiting in the order in which they came.
 *
 * Invariant: at most `runningMax` jobs run and at most `waitingMax` wait; nobody waits while fewer than `runningMax` run.
 */
export class JobQueue {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  #waiting: (() => void)[] = [];
  /** The first of `#waiting` that has not begun; the array is cut when half of it lies behind. */
  #head = 0;
  #running = 0;

  constructor(options: { readonly runningMax: number; readonly waitingMax: number }) {
    assert(Number.isSafeInteger(options.runningMax) && options.runningMax > 0, "a queue runs at least one job");
    this.#runningMax = options.runningMax;
    this.#waitingMax = options.waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** The job's outcome, or null at once when the queue is full. */
  run<T>(job: () => Promise<T>): Promise<T> | null {
    if (this.#running < this.#runningMax) return this.#start(job);
    if (this.waiting >= this.#waitingMax) return null;
    return new Promise<T>((resolve) => {
      this.#waiting.push(() => resolve(this.#start(job)));
    });
  }

  async #start<T>(job: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await job();
    } finally {
      this.#running -= 1;
      this.#startNext();
    }
  }

  #startNext(): void {
    const next = this.#waiting[this.#head];
    if (next === undefined) return;
    this.#head += 1;
    if (this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    next();
  }
}
