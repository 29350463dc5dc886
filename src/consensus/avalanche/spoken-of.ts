import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";

/** Bundles that witnesses name and that are not here: two full lanes of them. The oldest are forgotten. */
const BUNDLES_MAX = 2_048;

interface Spoken {
  readonly by: Set<ValidatorIndex>;
  isProven: boolean;
}

/**
 * Witnesses of earlier epochs that spoke of bundles which are not here. A liar may have filled a lane with forks that nobody
 * else has: without these the one that was certified would find no room, and its witnesses would never be heard.
 */
export class SpokenOf {
  readonly #bundles = new Map<Hash, Spoken>();

  add(bundle: Hash, from: ValidatorIndex, isProven: boolean): void {
    const spoken = this.#bundles.get(bundle) ?? { by: new Set(), isProven: false };
    spoken.by.add(from);
    spoken.isProven ||= isProven;
    // What is proved stays longest: liars can name anything, and prove nothing.
    this.#bundles.delete(bundle);
    this.#bundles.set(bundle, spoken);
    if (this.#bundles.size <= BUNDLES_MAX) return;
    for (const [oldest, { isProven: isKept }] of this.#bundles) {
      if (isKept && oldest !== bundle) continue;
      this.#bundles.delete(oldest);
      return;
    }
  }

  /** How many validators stand behind a bundle: a quorum where it was proved, else those that spoke of it. */
  supportOf(bundle: Hash, quorum: number): number {
    const spoken = this.#bundles.get(bundle);
    if (spoken === undefined) return 0;
    return spoken.isProven ? quorum : spoken.by.size;
  }

  clear(): void {
    this.#bundles.clear();
  }
}
