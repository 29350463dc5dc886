import { type VoteLevel, type Votes, votesFor } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { VOTES_OF_SIGNER_MAX } from "../dag-certificate.ts";

interface Ballot {
  /** Vertices that no message of this signer covers. */
  except: readonly number[];
  /** The messages that say so, each covering something that no other one does. */
  votes: readonly { readonly except: readonly number[]; readonly signed: Signed<Votes> }[];
}

/**
 * Messages of one signer that add up, at most: as many as a certificate shows of it, so that what is counted can be shown.
 * A correct validator needs two: its votes cover ever more, and what it says of a settled bundle leaves out what was rejected.
 */
const MESSAGES_MAX: number = VOTES_OF_SIGNER_MAX;

/**
 * Who voted for one bundle at one level, and for which of its vertices. Counts distinct validators, never messages.
 *
 * Invariant: what a signer covered once stays covered.
 */
export class Tally {
  /** By signer: one message that covers everything, as nearly all do. There are many tallies, so this is to be small. */
  readonly #whole: (Signed<Votes> | undefined)[] = [];
  /** Signers whose first message did not cover everything. */
  readonly #ballots = new Map<ValidatorIndex, Ballot>();
  #size = 0;
  /** By vertex, how many signers do not cover it: what one vote names must not be looked through for every vertex. */
  readonly #uncovered = new Map<number, number>();
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
    return this.#size;
  }

  /** Validators that vote for all of it. */
  get full(): number {
    return this.#full;
  }

  has(signer: ValidatorIndex): boolean {
    return this.#whole[signer] !== undefined || this.#ballots.has(signer);
  }

  /** Answers whether the vote said anything new. */
  add(signer: ValidatorIndex, except: readonly number[], signed: Signed<Votes>): boolean {
    if (this.#whole[signer] !== undefined) return false;
    const known = this.#ballots.get(signer);
    if (known === undefined) {
      this.#size += 1;
      if (except.length === 0) {
        this.#whole[signer] = signed;
        this.#full += 1;
        return true;
      }
      this.#ballots.set(signer, { except, votes: [{ except, signed }] });
      for (const vertex of except) this.#uncovered.set(vertex, (this.#uncovered.get(vertex) ?? 0) + 1);
      return true;
    }
    if (known.except.length === 0) return false;
    const excepted = new Set(except);
    const left = known.except.filter((vertex) => excepted.has(vertex));
    if (left.length === known.except.length) return false;
    // A correct validator's messages cover ever more: the newest says what those before it did.
    const votes = known.votes.filter((older) => !isWithin(excepted, older.except));
    if (votes.length >= MESSAGES_MAX) return false;
    const leftOver = new Set(left);
    for (const vertex of known.except) {
      if (!leftOver.has(vertex)) this.#uncovered.set(vertex, (this.#uncovered.get(vertex) ?? 1) - 1);
    }
    known.except = left;
    known.votes = [...votes, { except, signed }];
    if (left.length === 0) this.#full += 1;
    return true;
  }

  /** How many cover one vertex. */
  count(vertex: number): number {
    return this.#size - (this.#uncovered.get(vertex) ?? 0);
  }

  /** Messages that cover everything, one of each signer that said so in one, in the order of their signers. */
  whole(): readonly Signed<Votes>[] {
    return this.#whole.flatMap((signed) => signed ?? []);
  }

  /** Messages that say something, of each signer so many of the newest, in the order of their signers. */
  newest(ofSigner: number): readonly Signed<Votes>[] {
    const found: Signed<Votes>[] = this.#whole.flatMap((signed) => signed ?? []);
    for (const { votes } of this.#ballots.values()) for (const { signed } of votes.slice(-ofSigner)) found.push(signed);
    return found.sort((left, right) => left.proof.seal.signer - right.proof.seal.signer);
  }

  /** One message of each signer that votes for the bundle's place (`vertex` null) or a vertex, in the order of the signers. */
  proofs(vertex: number | null): readonly Signed<Votes>[] {
    const found: Signed<Votes>[] = this.#whole.flatMap((signed) => signed ?? []);
    for (const { votes } of this.#ballots.values()) {
      const vote = votes.find(({ signed: { message } }) => votesFor(message, this.#level, this.#bundle, vertex));
      if (vote !== undefined) found.push(vote.signed);
    }
    return found.sort((left, right) => left.proof.seal.signer - right.proof.seal.signer);
  }
}

function isWithin(inner: ReadonlySet<number>, outer: readonly number[]): boolean {
  const known = new Set(outer);
  for (const vertex of inner) if (!known.has(vertex)) return false;
  return true;
}
