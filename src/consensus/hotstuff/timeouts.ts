/**
 * How long a view may go without a certificate. Adapts to what the network shows (RFC 6298: smoothed value and deviation),
 * doubles with every view that was given up since the last commit, and is capped (correction 18).
 */
export interface TimeoutLimits {
  readonly floorMs: number;
  /** Used until a view was measured, and never exceeded before the first failure. */
  readonly initialMs: number;
  readonly capMs: number;
}

/** Times the smoothed length of a view: a healthy leader must be far from it even under a burst. */
const VIEW_FACTOR = 8;

/** 2^20 times anything is above every cap. */
const DOUBLINGS_MAX = 20;

export class ViewTimeout {
  readonly #limits: TimeoutLimits;
  #smoothedMs: number | null = null;
  #deviationMs = 0;
  #failures = 0;

  constructor(limits: TimeoutLimits) {
    this.#limits = limits;
  }

  currentMs(): number {
    const { floorMs, initialMs, capMs } = this.#limits;
    const expected = this.#smoothedMs === null ? initialMs : VIEW_FACTOR * (this.#smoothedMs + 4 * this.#deviationMs);
    const base = Math.min(Math.max(expected, floorMs), initialMs);
    return Math.min(base * 2 ** Math.min(this.#failures, DOUBLINGS_MAX), capMs);
  }

  /** A view with work went from its begin to its certificate in this time. */
  onView(durationMs: number): void {
    if (this.#smoothedMs === null) {
      this.#smoothedMs = durationMs;
      this.#deviationMs = durationMs / 2;
    } else {
      this.#deviationMs = 0.75 * this.#deviationMs + 0.25 * Math.abs(this.#smoothedMs - durationMs);
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * durationMs;
    }
  }

  onFailure(): void {
    this.#failures += 1;
  }

  /** A commit, not a certificate, ends the doubling: a chain needs several good views in a row. */
  onCommit(): void {
    this.#failures = 0;
  }
}
