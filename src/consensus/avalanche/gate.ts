import type { Hash } from "../../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { ValidatorSet } from "../../membership/validator-set.ts";
import { idOf, type Member } from "./conflict-set.ts";

/** Whose word about an epoch counts. */
export type WitnessSet = Pick<ValidatorSet, "epoch" | "has" | "quorum" | "honestMinority" | "indices">;

/** One certificate that a validator says it knows of. */
export interface Testimony {
  readonly member: Member;
  readonly epoch: Epoch;
  /** Whether a quorum of that epoch's accepts came with it. */
  readonly isProven: boolean;
}

/** What is certified, and in which epoch. */
export interface Inherited {
  readonly member: Member;
  readonly epoch: Epoch;
}

interface Witness {
  readonly passed: ReadonlySet<Epoch>;
  readonly testimonies: readonly Testimony[];
}

interface Said {
  readonly inherited: Inherited;
  isProven: boolean;
  readonly sayers: Set<ValidatorIndex>;
}

/**
 * The passage into an epoch: what its validators must have heard before they vote. It is what a view change reads of prepared
 * certificates (Castro & Liskov 1999, §4.4), for every conflict set at once; the validators of an old epoch stay until the new
 * one has their state (Liskov & Cowling, "Viewstamped Replication Revisited", 2012, §7).
 *
 * Claim: who passed into an epoch holds, for each unit that became final in an earlier one, its certificate or a later one of
 * the same unit. Let a unit be final by the commits of a quorum of epoch k. Whoever passes later heard a quorum of k, each
 * after it had left k, or a quorum of a later epoch whose members had passed into that. One of k's quorum committed, and
 * testifies; by induction those that passed hold it. So nobody who votes after k accepts a rival, and no later
 * certificate is of one.
 *
 * A liar may testify what is not. So a certificate of epoch k counts with its votes, or when f + 1 of k's validators say it;
 * and a validator that says of its own epoch k what neither backs does not count as heard of k: either it lies, or what it
 * knows is not known here yet. What is older counts with its votes, or when f + 1 of those that passed say it.
 */
export class Gate {
  /** The epochs before this one, the newest first. */
  readonly #sets: readonly WitnessSet[];
  readonly #witnesses = new Map<ValidatorIndex, Witness>();

  constructor(sets: readonly WitnessSet[]) {
    this.#sets = sets;
  }

  /** Everything that one validator knows, told after it had left all these epochs. Of two words the newer one counts. */
  hear(from: ValidatorIndex, passed: readonly Epoch[], testimonies: readonly Testimony[]): void {
    this.#witnesses.set(from, { passed: new Set(passed), testimonies });
  }

  /**
   * Validators to be asked, ascending: those that were not heard, and those whose word is not backed, for what they know may
   * be proved by then.
   */
  wanted(): readonly ValidatorIndex[] {
    const wanted = new Set<ValidatorIndex>();
    for (const set of this.#sets) {
      const heard = this.#heardOf(set);
      for (const index of set.indices()) if (!heard.has(index)) wanted.add(index);
    }
    return [...wanted].sort((left, right) => left - right);
  }

  /** What this epoch begins with, certificates of older epochs first; null while not enough were heard. */
  inheritance(): readonly Inherited[] | null {
    const found: Inherited[] = [];
    for (const set of this.#sets) {
      const heard = this.#heardOf(set);
      if (heard.size < set.quorum) return null;
      found.push(...this.#backed(set));
      const passed = new Map([...heard].filter(([, witness]) => witness.passed.has(set.epoch)));
      // In the first epoch nothing came before; else its votes rest on all that did.
      if (set.epoch > 0 && passed.size < set.quorum) continue;
      const older = backedBy(
        saidIn(passed, (epoch) => epoch < set.epoch),
        set,
        () => true,
      );
      return [...found, ...older].sort((left, right) => left.epoch - right.epoch);
    }
    return null;
  }

  /** Validators of an epoch that say nothing of it which is not backed. */
  #heardOf(set: WitnessSet): ReadonlyMap<ValidatorIndex, Witness> {
    const backed = new Set<Hash>(this.#backed(set).map(({ member }) => idOf(member)));
    const isSound = ({ testimonies }: Witness): boolean =>
      testimonies.every(({ epoch, member }) => epoch !== set.epoch || backed.has(idOf(member)));
    return new Map([...this.#witnesses].filter(([from, witness]) => set.has(from) && isSound(witness)));
  }

  /** What was certified in an epoch: proved, or said by f + 1 of its validators. */
  #backed(set: WitnessSet): readonly Inherited[] {
    return backedBy(
      saidIn(this.#witnesses, (epoch) => epoch === set.epoch),
      set,
      (from) => set.has(from),
    );
  }
}

function saidIn(witnesses: ReadonlyMap<ValidatorIndex, Witness>, isWanted: (epoch: Epoch) => boolean): readonly Said[] {
  const said = new Map<string, Said>();
  for (const [from, { testimonies }] of witnesses) {
    for (const { member, epoch, isProven } of testimonies) {
      if (!isWanted(epoch)) continue;
      const key = `${epoch}/${idOf(member)}`;
      const known = said.get(key) ?? { inherited: { member, epoch }, isProven: false, sayers: new Set() };
      known.isProven ||= isProven;
      known.sayers.add(from);
      said.set(key, known);
    }
  }
  return [...said.values()];
}

function backedBy(
  said: readonly Said[],
  { honestMinority }: WitnessSet,
  counts: (from: ValidatorIndex) => boolean,
): readonly Inherited[] {
  return said
    .filter(({ isProven, sayers }) => isProven || [...sayers].filter(counts).length >= honestMinority)
    .map(({ inherited }) => inherited);
}
