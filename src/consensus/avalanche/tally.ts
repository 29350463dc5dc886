import { type VoteLevel, type Votes, votesFor } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";

interface Ballot {
  /** Vertices that no message of this signer covers. */
  except: readonly number[];
  /** The messages that say so, each covering something that those before it did not. */
  readonly votes: Signed<Votes>[];
}

const NONE: readonly number[] = [];

/**
 * Who voted for one bundle at one level, and for which of its vertices. Counts distinct validators, never messages.
 *
 * Invariant: what a signer covered once stays covered.
 */
export class Tally {
  readonly #ballots = new Map<ValidatorIndex, Ballot>();
  /** Signers that cover everything. */
  #full = 0;
  readonly #level: VoteLevel;
  readonly #bundle: Hash;

  constructor(level: VoteLevel, bundle: Hash) {
    this.#level = level;
    this.#bundle = bundle;
  }

  /** Validators that vote for the bundle's place. */
  get size(): number {
    return this.#ballots.size;
  }

  /** Validators that vote for all of it. */
  get full(): number {
    return this.#full;
  }

  has(signer: ValidatorIndex): boolean {
    return this.#ballots.has(signer);
  }

  /** Answers whether the vote said anything new. */
  add(signer: ValidatorIndex, except: readonly number[], signed: Signed<Votes>): boolean {
    const known = this.#ballots.get(signer);
    if (known === undefined) {
      this.#ballots.set(signer, { except: except.length === 0 ? NONE : except, votes: [signed] });
      if (except.length === 0) this.#full += 1;
      return true;
    }
    const left = known.except.filter((vertex) => except.includes(vertex));
    if (left.length === known.except.length) return false;
    known.except = left;
    known.votes.push(signed);
    if (left.length === 0) this.#full += 1;
    return true;
  }

  /** How many cover one vertex. */
  count(vertex: number): number {
    if (this.#full === this.#ballots.size) return this.#full;
    let count = 0;
    for (const { except } of this.#ballots.values()) if (!except.includes(vertex)) count += 1;
    return count;
  }

  /** One message of each signer that votes for the bundle's place (`vertex` null) or a vertex, in the order of the signers. */
  proofs(vertex: number | null): readonly Signed<Votes>[] {
    const found: Signed<Votes>[] = [];
    for (const [, { votes }] of [...this.#ballots].sort(([left], [right]) => left - right)) {
      const signed = votes.find(({ message }) => votesFor(message, this.#level, this.#bundle, vertex));
      if (signed !== undefined) found.push(signed);
    }
    return found;
  }
}
