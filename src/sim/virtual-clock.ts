import type { Clock } from "../node/ports.ts";
import type { Schedule } from "./schedule.ts";

/** How a node's clock differs from the world's. */
export interface ClockFault {
  /** Added to its wall clock, in milliseconds. */
  readonly skewMs: number;
  /** How much faster its clock runs, in parts per million; both its clocks drift. */
  readonly driftPpm: number;
}

export const TRUE_CLOCK: ClockFault = { skewMs: 0, driftPpm: 0 };

/** Where virtual time begins: a Tuesday in November 2023. */
export const EPOCH_MS = 1_700_000_000_000;

/** Above any rounding of virtual times below 10^8 ms, below anything that matters. */
const ROUNDING_MS = 1e-6;

/** One life's clock: what it was asked for dies with that life. */
export class VirtualClock implements Clock {
  readonly #schedule: Schedule;
  readonly #rate: number;
  readonly #skewMs: number;
  readonly #isAlive: () => boolean;

  constructor(schedule: Schedule, fault: ClockFault, isAlive: () => boolean) {
    this.#schedule = schedule;
    this.#rate = 1 + fault.driftPpm / 1_000_000;
    this.#skewMs = fault.skewMs;
    this.#isAlive = isAlive;
  }

  nowMs(): number {
    return EPOCH_MS + Math.floor(this.#schedule.nowMs * this.#rate) + this.#skewMs;
  }

  monotonicMs(): number {
    return this.#schedule.nowMs * this.#rate;
  }

  setTimer(atMs: number, callback: () => void): () => void {
    // Never before its time, whatever the division rounded away: a timer that fires early would be lost.
    return this.#schedule.at(atMs / this.#rate + ROUNDING_MS, () => {
      if (this.#isAlive()) callback();
    });
  }

  defer(callback: () => void): void {
    this.#schedule.after(0, () => {
      if (this.#isAlive()) callback();
    });
  }
}
