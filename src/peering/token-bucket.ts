/**
 * A token bucket: `rate` tokens a second, at most `burst` at once. Pure: the time comes in. Debt is allowed, so that a
 * message larger than the burst passes after its wait instead of never.
 */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(options: { readonly rate: number; readonly burst: number; readonly nowMs: number }) {
    this.#rate = options.rate;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#atMs = options.nowMs;
  }

  /** Takes tokens where enough are there; false, and nothing taken, where not. */
  tryTake(count: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Takes tokens; answers how many milliseconds the taker must pause before it goes on. */
  take(count: number, nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= count;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#rate) * 1_000;
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#tokens = Math.min(this.#burst, this.#tokens + (elapsedMs * this.#rate) / 1_000);
    this.#atMs = nowMs;
  }
}
