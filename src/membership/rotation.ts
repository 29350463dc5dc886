import type { NodeId } from "../crypto/identity.ts";
import { assert, present } from "../lib/assert.ts";
import type { Epoch, ValidatorIndex } from "./ids.ts";
import { activated, deactivated, type MembershipEntry, type RemovalCause, urgency } from "./membership-entry.ts";

export interface Removal {
  readonly nodeId: NodeId;
  /** "rotation": held below the limits for long, kept for want of another, and now replaced by one. */
  readonly why: RemovalCause | "rotation";
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
 * maximum, and as many condemned as the minimum needs stay, the least urgent ones. Null where nobody comes or goes.
 *
 * @param epoch the one that ends
 * @param postponed whose removal an earlier batch already had to put off
 *
 * Invariant: from min to max active validators before gives min to max after. Those who are not condemned are at most max;
 * when they and all who wait are fewer than min, the condemned fill up, of whom there are enough because there were min
 * active before.
 */
export function rotate(
  policy: { readonly min: number; readonly max: number },
  before: readonly MembershipEntry[],
  queue: readonly ValidatorIndex[],
  epoch: Epoch,
  postponed: ReadonlySet<ValidatorIndex>,
): Rotation | null {
  const active = activeOf(before);
  const condemned = condemnedOf(before);
  const sound = active.length - condemned.length;
  const joining = queue.slice(0, policy.max - sound);
  const staying = Math.max(0, policy.min - sound - joining.length);
  assert(staying <= condemned.length, "enough condemned validators for the minimum");
  const leaving = inUrgency(before, condemned).slice(0, condemned.length - staying);
  if (joining.length === 0 && leaving.length === 0) return null;

  const entries = [...before];
  const removed: Removal[] = [];
  for (const index of [...leaving].sort((left, right) => left - right)) {
    const entry = entryAt(entries, index);
    const cause = present(entry.condemned, "the cause of a removal");
    entries[index] = deactivated(entry, cause, epoch);
    const isRotation = postponed.has(index) && (cause === "inactivity" || cause === "reputation");
    removed.push({ nodeId: entry.nodeId, why: isRotation ? "rotation" : cause });
  }
  for (const index of joining) entries[index] = activated(entryAt(entries, index), (epoch + 1) as Epoch);
  const added = [...joining].sort((left, right) => left - right).map((index) => entryAt(entries, index).nodeId);
  return { entries, queue: queue.slice(joining.length), added, removed };
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
