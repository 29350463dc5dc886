/**
 * How long a leader may go without progress. Adapts to what the network shows, as TCP's retransmission timer does
 * (RFC 6298: smoothed value and deviation), doubles with every failed view (Castro & Liskov 1999, §4.4), and is capped: uncapped time-outs have halted permissioned chains for hours (correction 18).
 */
export interface TimeoutLimits {
  /** Never below: a pause of the disk or the collector is no fault of the leader. */
  readonly floorMs: number;
  /** Used until something was measured, and never exceeded before the first failure. */
  readonly initialMs: number;
  /** Never above, however many views failed. */
  readonly capMs: number;
}

/** Times the smoothed value: a healthy leader must be far from it even under a burst. */
const MEASURED_FACTOR = 8;

/** 2^20 times anything is above every cap. */
const DOUBLINGS_MAX = 20;

export class AdaptiveTimeout {
  readonly #limits: TimeoutLimits;
  #smoothedMs: number | null = null;
  #deviationMs = 0;
  #failures = 0;

  constructor(limits: TimeoutLimits) {
    this.#limits = limits;
  }

  currentMs(): number {
    const { floorMs, initialMs, capMs } = this.#limits;
    const expected =
      this.#smoothedMs === null ? initialMs : MEASURED_FACTOR * (this.#smoothedMs + 4 * this.#deviationMs);
    const base = Math.min(Math.max(expected, floorMs), initialMs);
    return Math.min(base * 2 ** Math.min(this.#failures, DOUBLINGS_MAX), capMs);
  }

  /** What is waited for took this time: a place of the log its commit (PBFT), a view its certificate (HotStuff). */
  onMeasured(durationMs: number): void {
    if (this.#smoothedMs === null) {
      this.#smoothedMs = durationMs;
      this.#deviationMs = durationMs / 2;
    } else {
      this.#deviationMs = 0.75 * this.#deviationMs + 0.25 * Math.abs(this.#smoothedMs - durationMs);
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * durationMs;
    }
  }

  /** The view ended without its leader's success. */
  onFailure(): void {
    this.#failures += 1;
  }

  /** Commits go on: the doubling ends. */
  onProgress(): void {
    this.#failures = 0;
  }
}
