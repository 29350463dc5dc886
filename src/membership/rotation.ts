import type { NodeId } from "../crypto/identity.ts";
import { present } from "../lib/assert.ts";
import type { Epoch, ValidatorIndex } from "./ids.ts";
import {
  activated,
  deactivated,
  isOpinion,
  type MembershipEntry,
  type RemovalCause,
  urgency,
} from "./membership-entry.ts";
import { faultTolerance } from "./quorum.ts";

export interface Removal {
  readonly nodeId: NodeId;
  /** "rotation": held below the limits for long, kept for want of another, and now replaced by one. */
  readonly why: RemovalCause | "rotation";
}

/** 1 <= min <= max */
interface SizePolicy {
  readonly min: number;
  readonly max: number;
}

export interface Rotation {
  readonly entries: readonly MembershipEntry[];
  /** Those who wait for a place, in their order. */
  readonly queue: readonly ValidatorIndex[];
  readonly added: readonly NodeId[];
  readonly removed: readonly Removal[];
}

/**
 * Gives the places of the next epoch: condemned validators lose theirs, those who wait get what is free up to the
 * maximum. Who is condemned and cannot go by the rules of `leaversOf` stays so, and goes with a later batch, which need
 * hold no command. Null where nobody comes or goes.
 *
 * @param epoch the one that ends
 * @param postponed whose removal an earlier batch already had to put off
 *
 * Invariant: from min to max active validators before gives min to max after. Nobody leaves past the minimum, and those who
 * join fill no more than what the maximum leaves free.
 */
export function rotate(
  policy: SizePolicy,
  before: readonly MembershipEntry[],
  queue: readonly ValidatorIndex[],
  epoch: Epoch,
  postponed: ReadonlySet<ValidatorIndex>,
): Rotation | null {
  const leaving = leaversOf(policy, before, queue.length);
  const joining = queue.slice(0, policy.max - activeOf(before).length + leaving.length);
  if (joining.length === 0 && leaving.length === 0) return null;

  const entries = [...before];
  const removed: Removal[] = [];
  for (const index of [...leaving].sort((left, right) => left - right)) {
    const entry = entryAt(entries, index);
    const cause = present(entry.condemned, "the cause of a removal");
    entries[index] = deactivated(entry, cause, epoch);
    const isRotation = postponed.has(index) && isOpinion(cause) && joining.length > 0;
    removed.push({ nodeId: entry.nodeId, why: isRotation ? "rotation" : cause });
  }
  for (const index of joining) entries[index] = activated(entryAt(entries, index), (epoch + 1) as Epoch);
  const added = [...joining].sort((left, right) => left - right).map((index) => entryAt(entries, index).nodeId);
  return { entries, queue: queue.slice(joining.length), added, removed };
}

/**
 * How many of the n validators of one epoch may lose their places at its end: f, and 1 where f is 0. Joins have no such
 * bound.
 *
 * Liveness: whoever is removed may switch off as soon as it has executed the epoch's last batch, while others still lack
 * that batch and need a quorum of the old set to order it. n >= 3f + 1 gives n - f >= q, so those who remain are a quorum
 * of the old set as long as all that are gone from it, removed or failed, are at most f. With three validators one may go:
 * n - 1 = q = 2. One or two tolerate no absence at all; there the leaver has to wait until the others have followed.
 */
export function removalsMax(activeCount: number): number {
  return Math.max(1, faultTolerance(activeCount));
}

/**
 * Who loses its place with this batch, the most urgent first: as many of the condemned as all three rules allow.
 *
 * 1. The next set has the minimum.
 * 2. At most `removalsMax` go.
 * 3. Whom observers only think badly of ("inactivity", "reputation") goes only where the next set, those who take a place
 *    in the same change included, tolerates no fewer liars than this one.
 *
 * Safety: let at most f of the active ones lie. Evidence takes a liar away, and f(n - 1) >= f(n) - 1, so liars and f fall
 * together. A leave or a dismissal may lower f; that is the operators' word, and theirs to weigh. But reports prove nothing:
 * an adversary that keeps correct validators from being heard has the correct ones report them, and would shrink the set
 * until the liars in it are more than its f. By rule 3 reports alone never lower f. It compares with f of the epoch that
 * ends, so evidence in the same batch does not pay for an opinion: that one is weighed again in the next epoch.
 *
 * One more leaver never makes the next set larger, and opinions are the least urgent: so who may go is a prefix.
 */
function leaversOf(policy: SizePolicy, before: readonly MembershipEntry[], waiting: number): readonly ValidatorIndex[] {
  const size = activeOf(before).length;
  const condemned = inUrgency(before, condemnedOf(before));
  const mayGo = (index: ValidatorIndex, at: number): boolean => {
    const sizeAfter = Math.min(policy.max, size - (at + 1) + waiting);
    if (at >= removalsMax(size) || sizeAfter < policy.min) return false;
    const isOpinionOnly = isOpinion(present(causeOf(before, index), "a condemned validator"));
    return !isOpinionOnly || faultTolerance(sizeAfter) >= faultTolerance(size);
  };
  const kept = condemned.findIndex((index, at) => !mayGo(index, at));
  return kept < 0 ? condemned : condemned.slice(0, kept);
}

/** The active validators, condemned or not, ascending. */
export function activeOf(entries: readonly MembershipEntry[]): readonly ValidatorIndex[] {
  return entries.flatMap(({ standing }, index) => (standing === "active" ? [index as ValidatorIndex] : []));
}

/** The active validators that are to lose their places, ascending. */
export function condemnedOf(entries: readonly MembershipEntry[]): readonly ValidatorIndex[] {
  return activeOf(entries).filter((index) => causeOf(entries, index) !== null);
}

function causeOf(entries: readonly MembershipEntry[], index: ValidatorIndex): RemovalCause | null {
  return entryAt(entries, index).condemned;
}

/** The most urgent first; ascending by index where the causes are equal. */
function inUrgency(
  entries: readonly MembershipEntry[],
  condemned: readonly ValidatorIndex[],
): readonly ValidatorIndex[] {
  const rank = (index: ValidatorIndex): number => urgency(present(causeOf(entries, index), "a condemned validator"));
  return [...condemned].sort((left, right) => rank(left) - rank(right) || left - right);
}

function entryAt(entries: readonly MembershipEntry[], index: ValidatorIndex): MembershipEntry {
  return present(entries[index], `validator ${index}`);
}
