import type { Hash } from "../../lib/hash.ts";
import { PAST_MAX } from "./limits.ts";

export type Fate = "accepted" | "rejected";

/** What became of bundles that are not in memory any more, by digest and by last vertex; the oldest are forgotten. */
export class Past {
  readonly #fates = new Map<Hash, Fate>();

  get(name: Hash): Fate | undefined {
    return this.#fates.get(name);
  }

  add(name: Hash, fate: Fate): void {
    remember(this.#fates, name, fate);
  }
}

/** Which vertex won a conflict set that is not in memory any more; the ledger knows the older ones. */
export class Winners {
  readonly #winners = new Map<Hash, Hash>();
  /** How many were ever added: who came when it was less by more than `PAST_MAX` may have missed some. */
  added = 0;

  get(set: Hash): Hash | undefined {
    return this.#winners.get(set);
  }

  add(set: Hash, winner: Hash): void {
    this.added += 1;
    remember(this.#winners, set, winner);
  }
}

function remember<T>(map: Map<Hash, T>, name: Hash, value: T): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= PAST_MAX) return;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
