import type { ValidatorIndex, View } from "../../membership/ids.ts";
import type { ValidatorSet } from "../../membership/validator-set.ts";
import type { Absence, Block } from "./messages.ts";

/**
 * Who leads. Round robin is Algorithm 4's; reputation leaves validators out that failed as leaders, as Carousel does (Cohen
 * et al., "Be Aware of Your Leaders", FC 2022), but by the chain of blocks alone: a certificate's signers are no part of a
 * block's hash, so replicas do not agree on them. What the chain says of its leaders each block carries (`absences`), as far
 * as voters find it right; so whoever holds a certified block knows the next leader, however little it holds below.
 *
 * Two validators may lead a view v: the one that the certificate of view v - 1 elects, and, where a quorum gave v - 1 up,
 * the one whose turn it is by the round. Who may lead is a function of the block and its parent, so all replicas agree on it.
 *
 * Invariant: of n validators at most f are left out, so that liars can put no more of the correct ones aside than they are;
 * whatever the record says, every validator has its turn by the round. Safety rests on none of this.
 */

/** The same on all replicas of a network. */
export type LeaderChoice = "round-robin" | "reputation";

/** Who wants to lead which view. */
export interface Turn {
  readonly view: View;
  readonly author: ValidatorIndex;
}

/** All that says who leads, in one place. */
export interface Leaders {
  readonly choice: LeaderChoice;
  /** The leader of the view after this certified block's, where nobody gave the block's own view up. */
  electedOn(set: ValidatorSet, parent: Block): ValidatorIndex;
  /** The leader of a view that began because a quorum gave up the one before. */
  afterTimeout(set: ValidatorSet, view: View): ValidatorIndex;
  /** What a block must say of its chain's leaders, ascending by validator. */
  absencesOf(set: ValidatorSet, parent: Block, turn: Turn): readonly Absence[];
  /** Whether a block says that. */
  isRecordRight(set: ValidatorSet, parent: Block, block: Block, author: ValidatorIndex): boolean;
  /** Whether who leads by the round must show a time-out certificate of the view before. */
  readonly wantsTimeouts: boolean;
}

/** The first failure leaves a leader out for four rounds; each further one doubles that. */
const BENCH_ROUNDS = 4;

/** At most 2^8 times that, 1,024 rounds: a dead validator then costs next to nothing, and one that is back waits no longer. */
const DOUBLINGS_MAX = 8;

/** More failures than this say no more. */
export const FAILURES_MAX: number = DOUBLINGS_MAX + 1;

const ROUND_ROBIN: Leaders = {
  choice: "round-robin",
  electedOn: (set, parent) => set.leaderOf((parent.view + 1) as View),
  afterTimeout: (set, view) => set.leaderOf(view),
  absencesOf: () => [],
  isRecordRight: (_, __, { absences }) => absences.length === 0,
  wantsTimeouts: false,
};

const REPUTATION: Leaders = {
  choice: "reputation",
  electedOn,
  // One place further in the round: another one than the elected leader of that view, while nobody is left out.
  afterTimeout: (set, view) => set.leaderOf((view + 1) as View),
  absencesOf,
  isRecordRight: (set, parent, block, author) =>
    equalAbsences(block.absences, absencesOf(set, parent, { view: block.view, author })),
  wantsTimeouts: true,
};

export function leadersOf(choice: LeaderChoice): Leaders {
  return choice === "reputation" ? REPUTATION : ROUND_ROBIN;
}

/** Whether `author` may lead `view` with a block on this parent; by the round only where a quorum gave the view before up. */
export function mayLead(
  leaders: Leaders,
  set: ValidatorSet,
  parent: Block,
  { view, author }: Turn,
): "elected" | "after-timeout" | null {
  if (view === parent.view + 1 && author === leaders.electedOn(set, parent)) return "elected";
  return author === leaders.afterTimeout(set, view) ? "after-timeout" : null;
}

function electedOn(set: ValidatorSet, parent: Block): ValidatorIndex {
  const view = (parent.view + 1) as View;
  const out = leftOut(set, parent.absences, view);
  const candidates = set.indices().filter((index) => !out.has(index));
  return candidates[view % candidates.length] ?? set.leaderOf(view);
}

/** What the parent says, and of each view since whether it failed. */
function absencesOf(set: ValidatorSet, parent: Block, { view, author }: Turn): readonly Absence[] {
  const absences = new Map(parent.absences.map((absence) => [absence.validator, absence]));
  for (const failed of failedSince(set, parent, { view, author })) {
    const failures = Math.min((absences.get(failed.validator)?.failures ?? 0) + 1, FAILURES_MAX);
    const until = (failed.view + set.size * BENCH_ROUNDS * 2 ** (failures - 1)) as View;
    absences.set(failed.validator, { validator: failed.validator, failures, until });
  }
  const own = absences.get(author);
  if (own !== undefined && own.failures > 1) absences.set(author, { ...own, failures: own.failures - 1 });
  if (own !== undefined && own.failures === 1) absences.delete(author);
  return [...absences.values()].sort((left, right) => left.validator - right.validator);
}

/** Whether two records are the same. */
function equalAbsences(left: readonly Absence[], right: readonly Absence[]): boolean {
  if (left.length !== right.length) return false;
  return left.every(({ validator, failures, until }, index) => {
    const other = right[index];
    return other?.validator === validator && other.failures === failures && other.until === until;
  });
}

/**
 * The leaders that failed between a block and its parent. Where the certificate of the view before was there and a quorum
 * gave up all the same, the one that it elected collected votes and made nothing of them.
 */
function failedSince(
  set: ValidatorSet,
  parent: Block,
  { view, author }: Turn,
): readonly { readonly validator: ValidatorIndex; readonly view: View }[] {
  const elected = electedOn(set, parent);
  const first = (parent.view + 1) as View;
  if (view === first) return author === elected ? [] : [{ validator: elected, view: first }];
  // At most f are faulty, so that many views in a row, and the elected one's, fail by leaders; more do by the network.
  if (view - first > set.faultTolerance + 1) return [];
  const failed = [{ validator: elected, view: first }];
  for (let at = first + 1; at < view; at++) {
    failed.push({ validator: REPUTATION.afterTimeout(set, at as View), view: at as View });
  }
  return failed;
}

/** The f that are out longest, of those whose time is not over. */
function leftOut(set: ValidatorSet, absences: readonly Absence[], view: View): ReadonlySet<ValidatorIndex> {
  const out = absences
    .filter(({ validator, until }) => until > view && set.has(validator))
    .sort((left, right) => right.until - left.until || left.validator - right.validator)
    .slice(0, set.faultTolerance);
  return new Set(out.map(({ validator }) => validator));
}
