import type { Votes } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { EARLY_VOTES_MAX } from "./limits.ts";

/** Messages of one signer about one bundle. */
const MESSAGES_MAX = 8;

/** Votes for bundles that have not come yet. Bounded for each signer; what falls out is said again, or asked for. */
export class EarlyVotes {
  readonly #waiting = new Map<Hash, Set<Signed<Votes>>>();
  readonly #counts = new Map<ValidatorIndex, number>();

  add(bundle: Hash, signed: Signed<Votes>): void {
    const { signer } = signed.proof.seal;
    const waiting = this.#waiting.get(bundle) ?? new Set();
    if (waiting.has(signed)) return;
    // Votes are said again every second, and the newest say what the older ones did: a bundle that does not come for long
    // must not use up its voters' share.
    const said = [...waiting].filter(({ proof }) => proof.seal.signer === signer);
    const [oldest] = said;
    if (oldest !== undefined && said.length >= MESSAGES_MAX) {
      waiting.delete(oldest);
      waiting.add(signed);
      return;
    }
    const count = this.#counts.get(signer) ?? 0;
    if (count >= EARLY_VOTES_MAX) return;
    waiting.add(signed);
    this.#waiting.set(bundle, waiting);
    this.#counts.set(signer, count + 1);
  }

  /** How many validators have voted for a bundle that is not here. */
  supportOf(bundle: Hash): number {
    return new Set([...(this.#waiting.get(bundle) ?? [])].map(({ proof }) => proof.seal.signer)).size;
  }

  take(bundle: Hash): readonly Signed<Votes>[] {
    const waiting = this.#waiting.get(bundle);
    if (waiting === undefined) return [];
    this.#waiting.delete(bundle);
    for (const { proof } of waiting) {
      const { signer } = proof.seal;
      this.#counts.set(signer, (this.#counts.get(signer) ?? 1) - 1);
    }
    return [...waiting];
  }
}
