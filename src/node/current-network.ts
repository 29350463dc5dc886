import type { Hash } from "../lib/hash.ts";
import { assert } from "../lib/assert.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";

/**
 * The network as it is now: whoever holds it sees the next epoch's validator set as soon as that begins. Engines do not:
 * each is made for one epoch and gets a context that never changes.
 *
 * Invariant: the epoch only grows, and the roster keeps every place.
 */
export class CurrentNetwork implements NetworkContext {
  readonly genesis: Hash;
  #set: ValidatorSet;

  constructor({ genesis, set }: NetworkContext) {
    this.genesis = genesis;
    this.#set = set;
  }

  get set(): ValidatorSet {
    return this.#set;
  }

  /** The context of the present epoch, for good. */
  frozen(): NetworkContext {
    return { genesis: this.genesis, set: this.#set };
  }

  advance(next: ValidatorSet): void {
    assert(next.epoch === this.#set.epoch + 1, "epochs follow each other");
    assert(
      this.#set.roster.every(({ nodeId }, place) => next.roster[place]?.nodeId === nodeId),
      "the roster keeps every place",
    );
    this.#set = next;
  }
}
