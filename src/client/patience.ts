import { CretoError } from "./creto-error.ts";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call with CretoError `aborted`. */
  readonly signal?: AbortSignal;
  /** How long the call may take with all its retries, in milliseconds; the client's own unless given. */
  readonly timeoutMs?: number;
}

/** `setTimeout` takes no more than 31 bits. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** How long a call may still take, and why it ends: its deadline, its caller's signal, or the end of the client. */
export class Patience {
  /** Aborted with a CretoError: `timeout`, `aborted` or `closed`. */
  readonly signal: AbortSignal;
  readonly #deadlineMs: number;
  readonly #controller: AbortController = new AbortController();
  readonly #release: (() => void)[] = [];

  /** @param timeoutMs Infinity where only a signal ends it */
  constructor(timeoutMs: number, ...signals: readonly (AbortSignal | undefined)[]) {
    if (!(timeoutMs > 0)) throw new CretoError("invalid-argument", `timeoutMs must be above 0, not ${timeoutMs}`);
    this.signal = this.#controller.signal;
    this.#deadlineMs = performance.now() + timeoutMs;
    if (timeoutMs <= TIMER_MS_MAX) {
      const late = (): void => this.#end(new CretoError("timeout", `no result within ${timeoutMs} ms`));
      const timer = setTimeout(late, timeoutMs);
      this.#release.push(() => clearTimeout(timer));
    }
    for (const signal of signals) if (signal !== undefined) this.#follow(signal);
  }

  /** Milliseconds; never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.#deadlineMs - performance.now());
  }

  /** The error that ended it; null while it lasts. */
  get ended(): CretoError | null {
    return this.signal.aborted ? reasonOf(this.signal) : null;
  }

  /** To be called once the call is over: lets go of the timer and of the caller's signal. */
  release(): void {
    for (const each of this.#release.splice(0)) each();
  }

  #follow(signal: AbortSignal): void {
    const onAbort = (): void => this.#end(reasonOf(signal));
    if (signal.aborted) return onAbort();
    this.#release.push(whenAborted(signal, onAbort));
  }

  #end(reason: CretoError): void {
    this.release();
    this.#controller.abort(reason);
  }
}

/** Why a signal was aborted; a caller's own reason becomes the cause of `aborted`. */
export function reasonOf(signal: AbortSignal): CretoError {
  const reason: unknown = signal.reason;
  if (reason instanceof CretoError) return reason;
  return new CretoError("aborted", "the call was aborted by its signal", { cause: reason });
}

/** Resolves after the time. @throws CretoError the signal's reason, at once when it is aborted */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await abortable(signal, (resolve) => {
    const timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX));
    return () => clearTimeout(timer);
  });
}

/**
 * A promise that ends with the signal at the latest.
 * @param start begins the work; what it answers is called when the promise is settled
 */
export async function abortable<T = void>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  if (signal.aborted) throw reasonOf(signal);
  const release: (() => void)[] = [];
  try {
    return await new Promise<T>((resolve, reject) => {
      release.push(whenAborted(signal, () => reject(reasonOf(signal))));
      release.push(start(resolve, reject));
    });
  } finally {
    for (const each of release) each();
  }
}

/** Who waits for a signal: it gets one listener for all, because Node takes more than ten of them for a leak. */
const listening = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls back when the signal is aborted, unless what it answers was called before. */
function whenAborted(signal: AbortSignal, callback: () => void): () => void {
  const known = listening.get(signal);
  const callbacks = known ?? new Set();
  callbacks.add(callback);
  if (known === undefined) {
    listening.set(signal, callbacks);
    const onAbort = (): void => {
      for (const each of [...callbacks]) each();
    };
    signal.addEventListener("abort", onAbort, { once: true });
  }
  return () => callbacks.delete(callback);
}
