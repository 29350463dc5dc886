import { assert } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { ValidatorSet } from "../membership/validator-set.ts";
import { CONFLICT_KEYS_MAX } from "./conflict-keys.ts";
import { sharesSet } from "./report.ts";
import type { OpenSubject, ResolutionBounds, ResolutionState, Ruling } from "./resolution-state.ts";
import { isSameUnit, unitKey } from "./unit.ts";
import type { Member } from "./unit-proof.ts";

/** One report, opened and of this epoch; a certificate that it carries was checked. */
export interface Heard {
  readonly creator: ValidatorIndex;
  readonly subject: Member;
  readonly certified: Member | null;
}

/** Whose reports count. */
export type Judges = Pick<ValidatorSet, "epoch" | "quorum" | "has">;

/** The open conflicts while one batch's reports are heard; what it means is said at `judge`. */
export class Docket {
  readonly #judges: Judges;
  readonly #bounds: ResolutionBounds;
  readonly #open: Map<string, OpenSubject>;
  readonly #rulings: Ruling[];
  /** Who won a set. */
  readonly #winners = new Map<Hash, Ruling>();
  /** Units with a ruling of their own. */
  readonly #ruled = new Map<string, Ruling>();
  /** Rulings that this batch's reports made, or that answer them. */
  readonly #told = new Set<Ruling>();
  /** Subjects of which this batch has a report that counts. */
  readonly #touched = new Set<string>();
  #isChanged = false;

  constructor(state: ResolutionState, judges: Judges, bounds: ResolutionBounds) {
    this.#judges = judges;
    this.#bounds = bounds;
    this.#open = new Map(state.open.map((open) => [unitKey(open.subject.unit), open]));
    this.#rulings = [...state.rulings];
    for (const ruling of state.rulings) this.#remember(ruling);
  }

  get told(): readonly Ruling[] {
    return [...this.#told];
  }

  /** Subjects that are open still, of those that were reported now. */
  get touched(): readonly OpenSubject[] {
    return [...this.#touched].flatMap((key) => this.#open.get(key) ?? []);
  }

  /** The very same object where nothing changed. */
  stateAfter(before: ResolutionState): ResolutionState {
    return this.#isChanged ? { open: [...this.#open.values()], rulings: this.#rulings } : before;
  }

  hear({ creator, subject, certified }: Heard): void {
    if (!this.#judges.has(creator) || subject.sets.length === 0) return;
    const answer = this.#fateOf(subject);
    if (answer !== null) {
      this.#told.add(answer);
      return;
    }
    const key = unitKey(subject.unit);
    const before = this.#open.get(key) ?? { subject, reporters: [], certified: [] };
    const isNew = !before.reporters.includes(creator);
    const reporters = isNew ? [...before.reporters, creator].sort((left, right) => left - right) : before.reporters;
    const open: OpenSubject = { subject, reporters, certified: withCertified(before, certified) };
    this.#open.set(key, open);
    this.#touched.add(key);
    this.#isChanged ||= isNew || open.certified !== before.certified;
    if (isNew) this.#withdrawOldest(creator, key);
    const current = this.#open.get(key);
    if (current !== undefined && current.reporters.length >= this.#judges.quorum) this.#decide(current);
  }

  #decide({ subject, certified }: OpenSubject): void {
    const rivals = certified.filter(({ unit }) => !isSameUnit(unit, subject.unit));
    const isCertified = rivals.length < certified.length;
    // Who accepted a unit that then lost here is free for another of its sets: the dead one's certificate must not take the
    // living one, which may be final, with it. Two living ones cannot be: then nothing is said, which is safe.
    if (isCertified && rivals.some((rival) => this.#fateOf(rival) === null)) return;
    if (isCertified || rivals.length === 0) {
      this.#rule(subject, true);
      return;
    }
    for (const rival of rivals) {
      if (this.#fateOf(rival) === null && !this.#rule(rival, true)) return;
    }
    if (this.#fateOf(subject) === null) this.#rule(subject, false);
  }

  /** Answers false where no room is left in this epoch: then nothing is ruled, and the subject stays open. */
  #rule({ unit, sets }: Member, won: boolean): boolean {
    if (!this.#makeRoom()) return false;
    assert(!won || sets.every((set) => !this.#winners.has(set)), "no set is won twice (invariant 5)");
    const ruling: Ruling = { epoch: this.#judges.epoch, unit, won, sets: won ? sets : [] };
    this.#rulings.push(ruling);
    this.#remember(ruling);
    this.#told.add(ruling);
    this.#isChanged = true;
    for (const [key, { subject }] of this.#open) {
      if (this.#fateOf(subject) !== null) this.#open.delete(key);
    }
    return true;
  }

  /** The ruling by which a unit has won or lost; null where it is open. */
  #fateOf({ unit, sets, place }: Member): Ruling | null {
    const own = this.#ruled.get(unitKey(unit));
    if (own !== undefined) return own;
    for (const set of sets) {
      const winner = this.#winners.get(set);
      if (winner !== undefined) return winner;
    }
    const ofPlace = this.#winners.get(place);
    return ofPlace !== undefined && ofPlace.unit.bundle !== unit.bundle ? ofPlace : null;
  }

  #remember(ruling: Ruling): void {
    this.#ruled.set(unitKey(ruling.unit), ruling);
    for (const set of ruling.sets) this.#winners.set(set, ruling);
  }

  /** The oldest ruling of an earlier epoch goes; the list is ascending by epoch, so it is the first or there is none. */
  #makeRoom(): boolean {
    if (this.#rulings.length < this.#bounds.rulings) return true;
    const oldest = this.#rulings[0];
    if (oldest === undefined || oldest.epoch === this.#judges.epoch) return false;
    this.#rulings.shift();
    this.#ruled.delete(unitKey(oldest.unit));
    for (const set of oldest.sets) this.#winners.delete(set);
    return true;
  }

  /** @param newest what the creator reports now, which counts in any case */
  #withdrawOldest(creator: ValidatorIndex, newest: string): void {
    const others = [...this.#open].filter(([key, { reporters }]) => key !== newest && reporters.includes(creator));
    const oldest = others[0];
    if (oldest === undefined || others.length < this.#bounds.openPerReporter) return;
    const [key, open] = oldest;
    const reporters = open.reporters.filter((reporter) => reporter !== creator);
    if (reporters.length === 0) this.#open.delete(key);
    else this.#open.set(key, { ...open, reporters });
  }
}

/**
 * With f liars at most, certified units of one epoch that have not lost share no set with each other, and each shares one
 * with the subject: there are no more of them than the subject has sets, and the subject's own certificate.
 */
function withCertified({ subject, certified }: OpenSubject, member: Member | null): readonly Member[] {
  if (member === null || certified.some(({ unit }) => isSameUnit(unit, member.unit))) return certified;
  if (isSameUnit(member.unit, subject.unit)) return [...certified, member];
  if (!sharesSet(member.sets, subject.sets)) return certified;
  const rivals = certified.filter(({ unit }) => !isSameUnit(unit, subject.unit));
  return rivals.length >= CONFLICT_KEYS_MAX ? certified : [...certified, member];
}
