import { TokenBucket } from "./token-bucket.ts";

/** Document 3's violations; every one has a rule below, a counter, a log line and a test in which a process commits it. */
export const VIOLATION_TYPES = [
  "equivocation",
  "invalid-signature",
  "replay",
  "view-change-spam",
  "timeout",
  "malformed",
  "out-of-order",
  "timestamp",
] as const;

export type ViolationType = (typeof VIOLATION_TYPES)[number];

interface ViolationRule {
  /** What one violation takes from the score. */
  readonly costPpm: number;
  /** This type alone takes no score below this. */
  readonly floorPpm: number;
  /** What a correct peer may do of it, as events a second and at once; null where it never does. */
  readonly allowance: { readonly rate: number; readonly burst: number } | null;
}

export const SCORE_MAX_PPM = 1_000_000;

/** Below: not asked and not sampled. */
export const GRAYLIST_PPM = 700_000;

/** Below: its frames pass a token bucket. */
export const THROTTLE_PPM = 500_000;

/** Below: to be banned (document 3: "reputation < 0.3"). */
export const BAN_PPM = 300_000;

/**
 * A score that fell to nothing is whole again after an hour: long enough that a slow drip of violations adds up, short
 * enough that a peer that was repaired needs no operator.
 */
export const RECOVERY_PPM_PER_SECOND: number = SCORE_MAX_PPM / 3_600;

/**
 * What each violation costs. A correct peer is never banned, whatever the network between does:
 * - loss and latency delay frames of a QUIC stream, they never alter or reorder them, so a correct peer's `malformed`,
 *   `invalid-signature`, `out-of-order` and `equivocation` stay at none;
 * - late answers and a wrong clock can happen to it, and these two have a floor above `THROTTLE_PPM`'s: by themselves they
 *   only move it to the end of the queue of those who are asked;
 * - repeats and view changes happen to it at a bounded rate. A status is answered with at most 96 votes and 64 bundles, and
 *   at most 5 statuses a second are looked at, so it repeats under 800 messages a second; a load of 6 ms turns repeats under
 *   200. It asks for a new view when a timer of a second or more ends. The allowances are above both by a factor.
 */
export const VIOLATION_RULES: Readonly<Record<ViolationType, ViolationRule>> = {
  equivocation: { costPpm: 750_000, floorPpm: 0, allowance: null },
  "invalid-signature": { costPpm: 250_000, floorPpm: 0, allowance: null },
  malformed: { costPpm: 200_000, floorPpm: 0, allowance: null },
  "out-of-order": { costPpm: 100_000, floorPpm: 0, allowance: null },
  "view-change-spam": { costPpm: 25_000, floorPpm: 0, allowance: { rate: 2, burst: 64 } },
  replay: { costPpm: 1_000, floorPpm: 0, allowance: { rate: 2_000, burst: 20_000 } },
  timeout: { costPpm: 50_000, floorPpm: THROTTLE_PPM, allowance: null },
  timestamp: { costPpm: 50_000, floorPpm: THROTTLE_PPM, allowance: null },
};

/** `condemned` asks for a ban; whether there is one is the ban list's decision. */
export type Standing = "good" | "graylisted" | "throttled" | "condemned";

/** One node's own opinion of one peer. Pure: the time comes in, in milliseconds of a clock that never goes back. */
export class PeerScore {
  readonly #counts = new Map<ViolationType, number>();
  readonly #allowances = new Map<ViolationType, TokenBucket>();
  #ppm = SCORE_MAX_PPM;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Takes note of one event; true where it counts as a violation, false where it is within what a correct peer may do. */
  record(type: ViolationType, nowMs: number): boolean {
    const { costPpm, floorPpm, allowance } = VIOLATION_RULES[type];
    if (allowance !== null) {
      const bucket = this.#allowances.get(type) ?? new TokenBucket({ ...allowance, nowMs });
      this.#allowances.set(type, bucket);
      if (bucket.tryTake(1, nowMs)) return false;
    }
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    const score = this.ppm(nowMs);
    this.#set(Math.max(Math.min(score, floorPpm), score - costPpm), nowMs);
    return true;
  }

  /** From `SCORE_MAX_PPM`, spotless, down to 0. */
  ppm(nowMs: number): number {
    const recovered = (Math.max(0, nowMs - this.#atMs) * RECOVERY_PPM_PER_SECOND) / 1_000;
    return Math.min(SCORE_MAX_PPM, Math.floor(this.#ppm + recovered));
  }

  standing(nowMs: number): Standing {
    const ppm = this.ppm(nowMs);
    if (ppm < BAN_PPM) return "condemned";
    if (ppm < THROTTLE_PPM) return "throttled";
    return ppm < GRAYLIST_PPM ? "graylisted" : "good";
  }

  /** Violations since this score began. */
  counts(): Readonly<Partial<Record<ViolationType, number>>> {
    return Object.fromEntries(this.#counts);
  }

  /** At least this much, after a ban ended or by the operator's word; the counts stay. */
  raiseTo(ppm: number, nowMs: number): void {
    this.#set(Math.max(ppm, this.ppm(nowMs)), nowMs);
  }

  #set(ppm: number, nowMs: number): void {
    this.#ppm = ppm;
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
