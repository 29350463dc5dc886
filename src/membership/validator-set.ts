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

/** The validators of one epoch, in ascending order of node id. Invariant: ids are distinct. */
export class ValidatorSet {
  readonly epoch: Epoch;
  readonly validators: readonly Validator[];
  readonly faultTolerance: number;
  readonly quorum: number;
  /** f + 1. */
  readonly honestMinority: number;
  readonly #indices: ReadonlyMap<NodeId, ValidatorIndex>;

  constructor(epoch: Epoch, validators: readonly Validator[]) {
    assert(validators.length >= 1 && validators.length <= VALIDATORS_MAX, `1 to ${VALIDATORS_MAX} validators`);
    this.epoch = epoch;
    this.validators = [...validators].sort((left, right) => compareHashes(left.nodeId, right.nodeId));
    this.#indices = new Map(this.validators.map((validator, index) => [validator.nodeId, index as ValidatorIndex]));
    assert(this.#indices.size === validators.length, "distinct validators");
    this.faultTolerance = faultTolerance(validators.length);
    this.quorum = quorumSize(validators.length);
    this.honestMinority = honestMinority(validators.length);
  }

  get size(): number {
    return this.validators.length;
  }

  /** Every index, ascending. */
  indices(): readonly ValidatorIndex[] {
    return this.validators.map((_, index) => index as ValidatorIndex);
  }

  has(index: number): index is ValidatorIndex {
    return Number.isInteger(index) && index >= 0 && index < this.size;
  }

  at(index: ValidatorIndex): Validator {
    return present(this.validators[index], `validator ${index}`);
  }

  indexOf(nodeId: NodeId): ValidatorIndex | null {
    return this.#indices.get(nodeId) ?? null;
  }

  /** Leader = validators[view mod n] (Castro & Liskov 1999, §4: p = v mod |R|). */
  leaderOf(view: View): ValidatorIndex {
    return (view % this.size) as ValidatorIndex;
  }
}

/** What every statement of a network binds: the network itself and the validator set whose votes count. */
export interface NetworkContext {
  readonly genesis: Hash;
  readonly set: ValidatorSet;
}
