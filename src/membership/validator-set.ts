import { assert, present } from "../lib/assert.ts";
import { compareHashes, type Hash } from "../lib/hash.ts";
import type { NodeId, PublicKeys } from "../crypto/identity.ts";
import type { Epoch, ValidatorIndex, View } from "./ids.ts";
import { faultTolerance, honestMinority, quorumSize } from "./quorum.ts";

/** The most validators of one set; an index is a u16 on the wire, and PBFT's all-to-all votes stop well before. */
export const VALIDATORS_MAX = 1024;

export interface Validator {
  readonly nodeId: NodeId;
  readonly publicKeys: PublicKeys;
  /** For people; nothing is decided by it. */
  readonly name: string;
}

/**
 * The validators of one epoch. The roster holds every validator that the network ever had, in the order in which they came
 * (genesis' own in ascending order of node id); a validator's place in it is its index for ever, so that lanes, proofs and
 * evidence of one epoch name the same validator in the next. Only the active ones lead, vote and count.
 *
 * Invariant: ids are distinct; active indices are distinct, ascending and within the roster.
 */
export class ValidatorSet {
  readonly epoch: Epoch;
  readonly roster: readonly Validator[];
  readonly faultTolerance: number;
  readonly quorum: number;
  /** f + 1. */
  readonly honestMinority: number;
  /** The first epoch of each validator's newest term, by index; 0 where nothing else is said. */
  readonly #terms: readonly Epoch[];
  readonly #active: readonly ValidatorIndex[];
  readonly #isActive: readonly boolean[];
  readonly #places: ReadonlyMap<NodeId, ValidatorIndex>;

  /** Without `active` a first set: everybody is active, and the roster is brought into its order. */
  constructor(
    epoch: Epoch,
    roster: readonly Validator[],
    active?: readonly ValidatorIndex[],
    terms: readonly Epoch[] = [],
  ) {
    this.#terms = terms;
    assert(roster.length >= 1 && roster.length <= VALIDATORS_MAX, `1 to ${VALIDATORS_MAX} validators`);
    this.epoch = epoch;
    const isFirst = active === undefined;
    this.roster = isFirst ? [...roster].sort((left, right) => compareHashes(left.nodeId, right.nodeId)) : roster;
    this.#places = new Map(this.roster.map((validator, index) => [validator.nodeId, index as ValidatorIndex]));
    assert(this.#places.size === roster.length, "distinct validators");
    this.#active = active ?? this.roster.map((_, index) => index as ValidatorIndex);
    assert(this.#active.length >= 1, "at least one active validator");
    assert(
      this.#active.every((index, place) => this.roster[index] !== undefined && index > (this.#active[place - 1] ?? -1)),
      "active indices ascend within the roster",
    );
    const isActive = this.roster.map(() => false);
    for (const index of this.#active) isActive[index] = true;
    this.#isActive = isActive;
    this.faultTolerance = faultTolerance(this.size);
    this.quorum = quorumSize(this.size);
    this.honestMinority = honestMinority(this.size);
  }

  /** n: how many validators are active. */
  get size(): number {
    return this.#active.length;
  }

  /** Every active index, ascending. */
  indices(): readonly ValidatorIndex[] {
    return this.#active;
  }

  /** Whether this index is an active validator's. */
  has(index: number): index is ValidatorIndex {
    return this.#isActive[index] === true;
  }

  /** Whether this index is that of a validator of the roster, active or not. */
  knows(index: number): index is ValidatorIndex {
    return this.roster[index] !== undefined;
  }

  /** Any validator of the roster, active or not. */
  at(index: ValidatorIndex): Validator {
    return present(this.roster[index], `validator ${index}`);
  }

  /** The index of an active validator; null for everybody else. */
  indexOf(nodeId: NodeId): ValidatorIndex | null {
    const place = this.placeOf(nodeId);
    return place !== null && this.has(place) ? place : null;
  }

  /** The index of any validator of the roster; null for a node that never was one. */
  placeOf(nodeId: NodeId): ValidatorIndex | null {
    return this.#places.get(nodeId) ?? null;
  }

  /**
   * The first epoch of a validator's newest term. What it made in an earlier term and was not ordered is void: a lane goes on
   * where it was executed, and its bundles name their term, so that two of different terms never contradict each other.
   */
  termOf(index: ValidatorIndex): Epoch {
    return this.#terms[index] ?? (0 as Epoch);
  }

  /** Leader = validators[view mod n] (Castro & Liskov 1999, §4: p = v mod |R|). */
  leaderOf(view: View): ValidatorIndex {
    return present(this.#active[view % this.size], "a leader");
  }
}

/** What every statement of a network binds: the network itself and the validator set whose votes count. */
export interface NetworkContext {
  readonly genesis: Hash;
  readonly set: ValidatorSet;
}
