import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { DagArrival } from "../dag-engine.ts";
import {
  MISSING_PATIENCE_MAX_MS,
  MISSING_PATIENCE_MS,
  ORPHANS_MAX,
  ORPHANS_OF_CREATOR_MAX,
  PAST_MAX,
} from "./limits.ts";

interface Waiting {
  readonly arrivals: DagArrival[];
  /** For each of them, how many conflict sets had been won when it came. */
  readonly wins: number[];
  askAtMs: number;
  patienceMs: number;
}

/** Bundles whose parents are not here, by the missing parent's last vertex. Bounded in all and for each creator. */
export class Orphans {
  readonly #waiting = new Map<Hash, Waiting>();
  readonly #held = new Set<Hash>();
  readonly #counts = new Map<ValidatorIndex, number>();

  get size(): number {
    return this.#held.size;
  }

  has(digest: Hash): boolean {
    return this.#held.has(digest);
  }

  /** Answers false where there is no room: it is fetched again when a child or a poll names it. */
  add(missing: Hash, arrival: DagArrival, nowMs: number, wins = 0): boolean {
    const { digest, creator } = arrival.held.ref;
    if (this.#held.has(digest)) return true;
    const count = this.#counts.get(creator) ?? 0;
    if (this.#held.size >= ORPHANS_MAX || count >= ORPHANS_OF_CREATOR_MAX) return false;
    const waiting = this.#waiting.get(missing) ?? {
      arrivals: [],
      wins: [],
      askAtMs: nowMs + MISSING_PATIENCE_MS,
      patienceMs: MISSING_PATIENCE_MS,
    };
    waiting.arrivals.push(arrival);
    waiting.wins.push(wins);
    this.#waiting.set(missing, waiting);
    this.#held.add(digest);
    this.#counts.set(creator, count + 1);
    return true;
  }

  /**
   * Those that waited for this vertex. What the ledger said of their vertices is of the time when they came: where so many
   * sets were won since that some are forgotten here, they have to come again.
   */
  take(tip: Hash, wins = 0): readonly DagArrival[] {
    const waiting = this.#waiting.get(tip);
    if (waiting === undefined) return [];
    this.#waiting.delete(tip);
    for (const { held } of waiting.arrivals) {
      this.#held.delete(held.ref.digest);
      this.#counts.set(held.ref.creator, (this.#counts.get(held.ref.creator) ?? 1) - 1);
    }
    return waiting.arrivals.filter((_, at) => wins - (waiting.wins[at] ?? 0) <= PAST_MAX);
  }

  /** At most so many missing parents whose time to be asked for has come, with the creators of those who wait for them. */
  due(nowMs: number, max: number): readonly { readonly tip: Hash; readonly creators: readonly ValidatorIndex[] }[] {
    const due: { tip: Hash; creators: ValidatorIndex[] }[] = [];
    for (const [tip, waiting] of [...this.#waiting]) {
      if (waiting.askAtMs > nowMs) continue;
      // The others keep their turn: a liar's many must not be in front of one time after time.
      if (due.length >= max) break;
      // Behind those that wait already.
      this.#waiting.delete(tip);
      this.#waiting.set(tip, waiting);
      waiting.patienceMs = Math.min(waiting.patienceMs * 2, MISSING_PATIENCE_MAX_MS);
      waiting.askAtMs = nowMs + waiting.patienceMs;
      due.push({ tip, creators: [...new Set(waiting.arrivals.map(({ held }) => held.ref.creator))] });
    }
    return due;
  }
}
