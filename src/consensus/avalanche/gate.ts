import type { Hash } from "../../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { ValidatorSet } from "../../membership/validator-set.ts";
import type { Member } from "./conflict-set.ts";

/** Whose word about an epoch counts. */
export type WitnessSet = Pick<ValidatorSet, "epoch" | "has" | "quorum" | "honestMinority" | "indices">;

/** One certificate that a validator says it knows of. */
export interface Testimony {
  readonly member: Member;
  /** Null where it says that the unit is final and no more: who settled it before a crash forgot by which votes. */
  readonly epoch: Epoch | null;
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

/** What is said of one unit. */
interface Said {
  readonly member: Member;
  readonly provenIn: Set<Epoch>;
  readonly certifiedBy: Map<Epoch, Set<ValidatorIndex>>;
  readonly finalBy: Set<ValidatorIndex>;
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
 *
 * Who says that a unit is final says at least as much as who says that it is certified, of any epoch. Where the others' words
 * are of older epochs, the unit may be final by a newer one that is not known here: it then counts as of the newest epoch if
 * nothing that conflicts with it is backed at all (what is final elsewhere would be), and else its witness is not heard.
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
    const said = saidBy(this.#witnesses);
    const certain = this.#backedAnywhere(said);
    for (const set of this.#sets) {
      const hearing = this.#heardOf(set, said, certain);
      for (const index of set.indices()) if (!hearing.heard.has(index)) wanted.add(index);
      // Those of older epochs have nothing to add.
      if (hearing.heard.size >= set.quorum && isPassed(set, hearing)) break;
    }
    return [...wanted].sort((left, right) => left - right);
  }

  /** What this epoch begins with, certificates of older epochs first; null while not enough were heard. */
  inheritance(): readonly Inherited[] | null {
    const found: Inherited[] = [];
    const all = saidBy(this.#witnesses);
    const certain = this.#backedAnywhere(all);
    const newest = this.#sets[0]?.epoch;
    for (const set of this.#sets) {
      const hearing = this.#heardOf(set, all, certain);
      const { heard, backed, final } = hearing;
      if (heard.size < set.quorum || newest === undefined) return null;
      found.push(...backed.map(({ member }) => ({ member, epoch: set.epoch })));
      found.push(...final.map(({ member }) => ({ member, epoch: newest })));
      if (!isPassed(set, hearing)) continue;
      found.push(...olderThan(set, [...saidBy(passedOf(set, hearing)).values()]));
      return found.sort((left, right) => left.epoch - right.epoch);
    }
    return null;
  }

  /** Validators of an epoch that say nothing of it which is not backed; and what is, or must be final. */
  #heardOf(set: WitnessSet, all: ReadonlyMap<string, Said>, certain: ReadonlySet<Said>): Hearing {
    const backed = [...all.values()].filter((said) => isBackedIn(set, said));
    const supported = new Set([...all.values()].filter((said) => certain.has(said) || isSaidByAny(set, said)));
    const rivals = countsBySet(supported);
    const isAlone = (said: Said): boolean => supported.has(said) && setsOf(said).every((id) => rivals.get(id) === 1);
    const final = [...all.values()].filter((said) => [...said.finalBy].some((from) => set.has(from)) && isAlone(said));
    const backedKeys = new Set(backed.map(({ member }) => keyOf(member)));
    const finalKeys = new Set(final.map(({ member }) => keyOf(member)));
    const isSound = ({ testimonies }: Witness): boolean =>
      testimonies.every(({ epoch, member }) => {
        if (isKnownHere(member) || (epoch !== null && epoch !== set.epoch)) return true;
        return backedKeys.has(keyOf(member)) || (epoch === null && finalKeys.has(keyOf(member)));
      });
    const heard = new Map([...this.#witnesses].filter(([from, witness]) => set.has(from) && isSound(witness)));
    return { heard, backed, final };
  }

  #backedAnywhere(all: ReadonlyMap<string, Said>): ReadonlySet<Said> {
    return new Set([...all.values()].filter((said) => this.#sets.some((set) => isBackedIn(set, said))));
  }
}

interface Hearing {
  readonly heard: ReadonlyMap<ValidatorIndex, Witness>;
  readonly backed: readonly Said[];
  readonly final: readonly Said[];
}

/**
 * What was decided here since a witness spoke of it, or certified in this epoch, needs no witness any more; not so a bundle
 * that merely gave way to others.
 */
function isKnownHere({ node, vertex }: Member): boolean {
  if (node.place === "rejected") return node.settledAtMs !== null;
  if (vertex === null) return node.isCertified || node.place === "accepted";
  return node.certified.has(vertex) || !node.isOpen(vertex);
}

function saidBy(witnesses: ReadonlyMap<ValidatorIndex, Witness>): ReadonlyMap<string, Said> {
  const all = new Map<string, Said>();
  for (const [from, { testimonies }] of witnesses) {
    for (const { member, epoch, isProven } of testimonies) {
      if (isKnownHere(member)) continue;
      const key = keyOf(member);
      const said = all.get(key) ?? { member, provenIn: new Set(), certifiedBy: new Map(), finalBy: new Set() };
      all.set(key, said);
      if (epoch === null) {
        said.finalBy.add(from);
        continue;
      }
      if (isProven) said.provenIn.add(epoch);
      said.certifiedBy.set(epoch, (said.certifiedBy.get(epoch) ?? new Set()).add(from));
    }
  }
  return all;
}

/** Whether a quorum of it came to vote in its epoch: in the first nothing came before; else its votes rest on all that did. */
function isPassed(set: WitnessSet, hearing: Hearing): boolean {
  return set.epoch === 0 || passedOf(set, hearing).size >= set.quorum;
}

function passedOf({ epoch }: WitnessSet, { heard }: Hearing): ReadonlyMap<ValidatorIndex, Witness> {
  return new Map([...heard].filter(([, { passed }]) => passed.has(epoch)));
}

/** Whether f + 1 of one set's say anything of it: in some epoch it was certified. */
function isSaidByAny(set: WitnessSet, { certifiedBy, finalBy }: Said): boolean {
  const sayers = new Set([finalBy, ...certifiedBy.values()].flatMap((some) => [...some]));
  return [...sayers].filter((from) => set.has(from)).length >= set.honestMinority;
}

/** Whether a unit was certified in an epoch: proved, or said by f + 1 of its validators. */
function isBackedIn(set: WitnessSet, { provenIn, certifiedBy, finalBy }: Said): boolean {
  if (provenIn.has(set.epoch)) return true;
  const sayers = new Set([...finalBy, ...(certifiedBy.get(set.epoch) ?? [])]);
  return [...sayers].filter((from) => set.has(from)).length >= set.honestMinority;
}

/**
 * What those that passed into an epoch say of those before it. One may know a newer certificate of a unit than another: the
 * newest epoch counts of which, or of a later one, f + 1 speak.
 */
function olderThan({ epoch: before, honestMinority }: WitnessSet, all: readonly Said[]): readonly Inherited[] {
  const found: Inherited[] = [];
  for (const { member, provenIn, certifiedBy, finalBy } of all) {
    const sayers = new Set(finalBy);
    let isTold = false;
    for (const [epoch, by] of [...certifiedBy].sort(([left], [right]) => right - left)) {
      for (const from of by) sayers.add(from);
      const isBacked: boolean = !isTold && sayers.size >= honestMinority;
      if (epoch < before && (isBacked || provenIn.has(epoch))) found.push({ member, epoch });
      isTold ||= isBacked;
    }
  }
  return found;
}

function setsOf({ member: { node, vertex } }: Said): readonly Hash[] {
  return node.setsOf(vertex);
}

/** How many of them claim each set. */
function countsBySet(all: Iterable<Said>): ReadonlyMap<Hash, number> {
  const counts = new Map<Hash, number>();
  for (const said of all) for (const id of setsOf(said)) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** Branches of a fork may hold vertices of one id: each bundle's is a unit of its own. */
function keyOf({ node, vertex }: Member): string {
  return `${node.digest}/${vertex ?? "place"}`;
}
