import { hashOf } from "../crypto/hash.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../membership/ids.ts";
import { faultTolerance, quorumSize } from "../membership/quorum.ts";
import type { Heard, Judges } from "./docket.ts";
import { sharesSet } from "./report.ts";
import { judge } from "./resolution.ts";
import { NO_RESOLUTIONS, RESOLUTION_BOUNDS, type ResolutionBounds, type ResolutionState } from "./resolution-state.ts";
import { isSameUnit, type Resolution, type Unit, unitKey } from "./unit.ts";
import type { Member } from "./unit-proof.ts";

/** A rule that is left out on purpose; the properties must notice. */
export type Planted =
  | "none"
  | "ignores certificates"
  | "decides on q-1 reports"
  | "breaks promises"
  | "forgets dead rivals"
  | "forgets this epoch's rulings";

export interface WorldOptions {
  readonly size: number;
  readonly seed: number;
  readonly planted?: Planted;
  readonly epochs?: boolean;
  readonly bounds?: ResolutionBounds;
  /** What the first phases are about, in the first layout; else chance decides. */
  readonly plot?: readonly Scene[];
}

export function nameOf(text: string): Hash {
  return hashOf("record", new TextEncoder().encode(text));
}

export function placeOf(bundle: string, fork: string = bundle): Member {
  const place = nameOf(`fork ${fork}`);
  return { unit: { bundle: nameOf(bundle), vertex: null }, sets: [place], place };
}

export function vertexOf(bundle: string, vertex: number, keys: string, fork: string = bundle): Member {
  const unit = { bundle: nameOf(bundle), vertex };
  return { unit, sets: [...keys].map((key) => nameOf(`key ${key}`)), place: nameOf(`fork ${fork}`) };
}

/** One correct validator: what it may do is what decision 0006 lets it do. */
interface Correct {
  readonly index: ValidatorIndex;
  readonly accepted: Map<Hash, Member>;
  readonly committed: Set<Member>;
  readonly certificates: Set<Member>;
  readonly promised: Set<Hash>;
  readonly reported: Set<Member>;
  executed: number;
}

const ACTS = ["accept", "learn", "commit", "report", "lie", "order", "execute", "epoch"] as const;

/** What most of a phase's steps do, and to which unit of the layout. */
export interface Scene {
  readonly act: (typeof ACTS)[number];
  readonly member: number;
}

/** Steps of one phase. */
export const PHASE_STEPS = 8;

/** The most units of a layout. */
const MEMBERS = 6;

/** Small pseudo-random numbers, the same for the same seed. */
function rollOf(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761 + 88_675_123) >>> 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** A unit on two sets, one rival on each of them, one of which has a rival of its own; in bundles that fork or do not. */
const PLOTTED = ["ac", "b", "ab", "c"];

function layout(roll: (below: number) => number, isPlotted: boolean): readonly Member[] {
  const places = [placeOf("one", "fork"), placeOf("two", "fork")];
  const keys = PLOTTED.map((key) => (isPlotted || roll(2) === 0 ? key : ["a", "b", "c", "ab", "bc", "ac"][roll(6)]));
  const homes = isPlotted || roll(2) === 0 ? ["three", "four", "three", "four"] : ["one", "two", "three", "four"];
  const vertices = keys.map((key, at) => {
    const home = present(homes[at], "a home");
    return vertexOf(home, at, present(key, "keys"), home === "one" || home === "two" ? "fork" : home);
  });
  return isPlotted || roll(2) === 0 ? vertices : [...vertices, ...places];
}

/**
 * A small world in which correct validators vote as they may, in any order, liars vote for everything and report anything
 * that they can prove, and the log orders lanes as it likes.
 */
export class ResolutionWorld {
  readonly members: readonly Member[];
  readonly correct: readonly Correct[];
  readonly #options: WorldOptions;
  readonly #liars: readonly ValidatorIndex[];
  readonly #roll: (below: number) => number;
  readonly #lanes: Heard[][];
  readonly #quorum: number;
  /** What the log decided, batch by batch; unlike the state it forgets nothing. */
  readonly #history: { readonly won: readonly Resolution[]; readonly lost: readonly Unit[] }[] = [];
  readonly #final = new Set<Member>();
  #epoch = 0;
  /** How seldom a step does something else than its phase. */
  readonly #focus: number;
  #phase: Scene = { act: "accept", member: 0 };
  #state: ResolutionState = NO_RESOLUTIONS;

  constructor(options: WorldOptions) {
    this.#options = options;
    const f = faultTolerance(options.size);
    this.#quorum = quorumSize(options.size);
    this.#roll = rollOf(options.seed + 1);
    for (let warm = 0; warm < 8; warm++) this.#roll(2);
    this.members = layout(this.#roll, options.plot !== undefined);
    this.#focus = options.plot === undefined ? 1 + (options.seed % 6) : 6;
    const indices = Array.from({ length: options.size }, (_, index) => index as ValidatorIndex);
    this.#liars = indices.slice(0, f);
    this.#lanes = indices.map(() => []);
    this.correct = indices.slice(f).map((index) => ({
      index,
      accepted: new Map(),
      committed: new Set(),
      certificates: new Set(),
      promised: new Set(),
      reported: new Set(),
      executed: 0,
    }));
  }

  /** Runs the world; answers what broke, null where nothing did. */
  violation(steps: number): string | null {
    for (let step = 0; step < steps; step++) {
      this.#step(step);
      const broken = this.#broken();
      if (broken !== null) return `step ${step}: ${broken}`;
    }
    return null;
  }

  /** Every correct validator reports one subject that is open to it, and everything is ordered: was it decided? */
  decidesWhatAllReport(): boolean {
    const open = this.members.filter((member) => !this.#isDecided(member, this.#history.length));
    const subject = open[this.#roll(Math.max(1, open.length))];
    if (subject === undefined) return true;
    for (const lane of this.#lanes.keys()) this.#order(lane, Number.POSITIVE_INFINITY);
    for (const validator of this.correct) this.#report(validator, subject);
    for (const lane of this.#lanes.keys()) this.#order(lane, Number.POSITIVE_INFINITY);
    return this.#isDecided(subject, this.#history.length) && this.#broken() === null;
  }

  /** Most steps of a phase do one thing to one unit, or else nothing that takes several validators would come about. */
  #step(step: number): void {
    if (step % PHASE_STEPS === 0) {
      const scene = this.#options.plot?.[step / PHASE_STEPS];
      this.#phase = scene ?? { act: present(ACTS[this.#roll(ACTS.length)], "an act"), member: this.#roll(MEMBERS) };
    }
    const validator = present(this.correct[this.#roll(this.correct.length)], "a validator");
    const place = this.#roll(this.#focus) > 0 ? this.#phase.member : this.#roll(MEMBERS);
    const member = present(this.members[place % this.members.length], "a member");
    const act = this.#roll(this.#focus) > 0 ? this.#phase.act : present(ACTS[this.#roll(ACTS.length)], "an act");
    if (act === "accept") this.#accept(validator, member);
    else if (act === "learn") this.#learn(validator, member);
    else if (act === "commit") this.#commit(validator, member);
    else if (act === "report") this.#report(validator, member);
    else if (act === "lie") this.#lie(member);
    else if (act === "order") this.#order(this.#roll(this.#lanes.length), 1 + this.#roll(2));
    else if (act === "execute") validator.executed = Math.min(this.#history.length, validator.executed + 1);
    else if (this.#options.epochs === true && this.#roll(8) === 0) this.#beginEpoch();
  }

  /** A vote for a vertex is one for its bundle's place too. */
  #votesOf(member: Member): readonly (readonly [set: Hash, unit: Member])[] {
    const place: Member = {
      unit: { bundle: member.unit.bundle, vertex: null },
      sets: [member.place],
      place: member.place,
    };
    const own = member.sets.map((set): readonly [Hash, Member] => [set, member]);
    return member.unit.vertex === null ? own : [...own, [member.place, place]];
  }

  #mayVote(validator: Correct, member: Member): boolean {
    if (this.#isDead(member, validator.executed)) return false;
    if (this.#options.planted === "breaks promises") return true;
    return this.#votesOf(member).every(([set]) => !validator.promised.has(set));
  }

  #accept(validator: Correct, member: Member): void {
    if (!this.#mayVote(validator, member)) return;
    const votes = this.#votesOf(member);
    const isFree = votes.every(([set, { unit }]) => isSameUnit(validator.accepted.get(set)?.unit ?? unit, unit));
    if (isFree) for (const [set, unit] of votes) validator.accepted.set(set, unit);
  }

  #isCertified(member: Member): boolean {
    const votes = this.#votesOf(member);
    const accepters = this.correct.filter(({ accepted }) =>
      votes.every(([set, { unit }]) => {
        const mine = accepted.get(set);
        return mine !== undefined && isSameUnit(mine.unit, unit);
      }),
    );
    return accepters.length + this.#liars.length >= this.#quorum;
  }

  #learn(validator: Correct, member: Member): void {
    if (this.#isCertified(member)) validator.certificates.add(member);
  }

  #commit(validator: Correct, member: Member): void {
    if (!validator.certificates.has(member) || !this.#mayVote(validator, member)) return;
    validator.committed.add(member);
    const committers = this.correct.filter(({ committed }) => committed.has(member));
    if (committers.length + this.#liars.length >= this.#quorum) this.#final.add(member);
  }

  #report(validator: Correct, subject: Member): void {
    if (this.#isDecided(subject, validator.executed)) return;
    validator.reported.add(subject);
    for (const set of subject.sets) validator.promised.add(set);
    const rivals = [...validator.certificates].filter((member) => this.#areRivals(member, subject));
    const certified = rivals[this.#roll(Math.max(1, rivals.length))] ?? null;
    this.#lanes[validator.index]?.push({ creator: validator.index, subject, certified });
  }

  #lie(subject: Member): void {
    const liar = this.#liars[this.#roll(Math.max(1, this.#liars.length))];
    if (liar === undefined) return;
    const provable = this.members.filter((member) => this.#isCertified(member) && sharesSet(member.sets, subject.sets));
    const certified = provable[this.#roll(provable.length + 1)] ?? null;
    this.#lanes[liar]?.push({ creator: liar, subject, certified });
  }

  #order(lane: number, count: number): void {
    const reports = this.#lanes[lane]?.splice(0, count) ?? [];
    const { planted = "none", bounds = RESOLUTION_BOUNDS } = this.#options;
    const quorum = planted === "decides on q-1 reports" ? this.#quorum - 1 : this.#quorum;
    const judges: Judges = { epoch: this.#epoch as Epoch, quorum, has: (_index): _index is ValidatorIndex => true };
    const rulings = planted === "forgets this epoch's rulings" ? this.#state.rulings.slice(-1) : this.#state.rulings;
    const { state, decided, lost } = judge(
      { ...this.#state, rulings },
      judges,
      reports.map((heard) => this.#asPlanted(heard, planted)),
      bounds,
    );
    this.#state = state;
    this.#history.push({ won: decided, lost });
  }

  #asPlanted(heard: Heard, planted: Planted): Heard {
    const { certified } = heard;
    const isForgotten =
      planted === "ignores certificates" ||
      (planted === "forgets dead rivals" && certified !== null && this.#isDead(certified, this.#history.length));
    return isForgotten ? { ...heard, certified: null } : heard;
  }

  /** All votes and promises are void; what was final is known, and voted for again before anything else. */
  #beginEpoch(): void {
    this.#epoch += 1;
    this.#state = { ...this.#state, open: [] };
    for (const lane of this.#lanes) lane.length = 0;
    for (const validator of this.correct) {
      for (const memory of [validator.accepted, validator.committed, validator.certificates, validator.promised]) {
        memory.clear();
      }
      validator.reported.clear();
      validator.executed = this.#history.length;
      for (const member of this.#final) {
        for (const [set, unit] of this.#votesOf(member)) validator.accepted.set(set, unit);
        validator.certificates.add(member);
      }
    }
  }

  #areRivals(left: Member, right: Member): boolean {
    return !isSameUnit(left.unit, right.unit) && sharesSet(left.sets, right.sets);
  }

  /** Whether the log's first batches say that a unit has lost. */
  #isDead(member: Member, executed: number): boolean {
    return this.#history.slice(0, executed).some(({ won, lost }) => {
      const isLost = lost.some((unit) => isSameUnit(unit, member.unit));
      return (
        isLost || won.some(({ winner, sets }) => !isSameUnit(winner, member.unit) && takesFrom(member, winner, sets))
      );
    });
  }

  #isDecided(member: Member, executed: number): boolean {
    const hasWon = this.#history.slice(0, executed).some(({ won }) => {
      return won.some(({ winner }) => isSameUnit(winner, member.unit));
    });
    return hasWon || this.#isDead(member, executed);
  }

  #broken(): string | null {
    const winners = new Map<Hash, Unit>();
    for (const { winner, sets } of this.#history.flatMap(({ won }) => won)) {
      for (const set of sets) {
        const before = winners.get(set);
        if (before !== undefined && !isSameUnit(before, winner)) return `two winners of ${set}`;
        winners.set(set, winner);
      }
    }
    const lost = new Set(this.#history.flatMap((batch) => batch.lost.map(unitKey)));
    for (const winner of winners.values()) if (lost.has(unitKey(winner))) return "a winner that lost";
    for (const member of this.#final) {
      if (this.#isDead(member, this.#history.length)) return `a final unit lost: ${unitKey(member.unit)}`;
      const rival = [...this.#final].find((other) => this.#areRivals(member, other));
      if (rival !== undefined) return `two final units: ${unitKey(member.unit)}, ${unitKey(rival.unit)}`;
    }
    return null;
  }
}

/** Whether the winner of these sets leaves a unit without one of its own, or its bundle without its place. */
function takesFrom(member: Member, winner: Unit, sets: readonly Hash[]): boolean {
  return sharesSet(member.sets, sets) || (sets.includes(member.place) && winner.bundle !== member.unit.bundle);
}
