import type { ValidatorIndex } from "../../membership/ids.ts";
import { BACK_OFF_MAX_MS, BACK_OFF_MS } from "./limits.ts";

/** Parts per million of the share of time-outs that the newest poll has in the moving average. */
const WEIGHT_PPM = 250_000;
const PPM = 1_000_000;

/** Document 2, 5.3: more than half of the queries time out. */
const PARTITION_PPM = 500_000;

interface Silence {
  timeouts: number;
  untilMs: number;
}

/**
 * Who answers, and whether enough do. A validator that let queries time out is not asked for a while, and counts as one that
 * did not answer (correction 2: it stays in the sample, or a minority could go on alone).
 */
export class Health {
  readonly #silent = new Map<ValidatorIndex, Silence>();
  #timeoutPpm = 0;
  #isPartitioned = false;
  timeouts = 0;

  get isPartitioned(): boolean {
    return this.#isPartitioned;
  }

  /** Parts per million. */
  get timeoutPpm(): number {
    return this.#timeoutPpm;
  }

  /** Anything that is heard from a validator ends its back-off. */
  onHeard(peer: ValidatorIndex): void {
    this.#silent.delete(peer);
  }

  isBackedOff(peer: ValidatorIndex, nowMs: number): boolean {
    const silence = this.#silent.get(peer);
    return silence !== undefined && silence.untilMs > nowMs;
  }

  onTimeout(peer: ValidatorIndex, nowMs: number): void {
    const timeouts = (this.#silent.get(peer)?.timeouts ?? 0) + 1;
    this.timeouts += 1;
    const backOffMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** Math.min(16, timeouts - 1));
    this.#silent.set(peer, { timeouts, untilMs: nowMs + backOffMs });
  }

  /** A poll is over: of so many validators that it was about, so many did not answer. Answers whether the state changed. */
  onPoll(asked: number, silent: number): boolean {
    if (asked === 0) return false;
    const sharePpm = Math.floor((silent * PPM) / asked);
    this.#timeoutPpm = Math.floor((this.#timeoutPpm * (PPM - WEIGHT_PPM) + sharePpm * WEIGHT_PPM) / PPM);
    const before = this.#isPartitioned;
    this.#isPartitioned = this.#timeoutPpm > PARTITION_PPM;
    return before !== this.#isPartitioned;
  }
}
