import type { Operation } from "./history.ts";
import type { KvInput, KvOutput } from "./kv-operations.ts";
import { type KeyTale, talesOf } from "./key-tales.ts";

/** What a whole history says of versions: enough to tell at once what a write without an answer cannot have been. */
export interface KvEvidence {
  /** Whether a write of this value, whose answer nobody heard, can have had this version when the key's last was `floor`. */
  canBe(key: string, version: number, value: string, floor: number): boolean;
  /** Whether anybody can have met such a write after that version; where not, it is as if it had not happened. */
  canBeMet(key: string, value: string, floor: number): boolean;
  /** Whether the key can have been deleted after that version. */
  canBeDeleted(key: string, floor: number): boolean;
}

/** Nothing is known. */
export const NO_EVIDENCE: KvEvidence = { canBe: () => true, canBeMet: () => true, canBeDeleted: () => true };

/**
 * A key has each version once, and they grow: a version of an answered write is no other write's, none can be passed over,
 * and one that was read with a value is that of a write of this value. It only shortens the search: what it rules out
 * would fail later.
 */
export function evidenceOf(history: readonly Operation<KvInput, KvOutput>[]): KvEvidence {
  const tales = talesOf(history);
  const sorted = new Map(
    [...tales].map(([key, { answered }]) => [key, [...answered].sort((left, right) => left - right)]),
  );
  const nextAnswered = (key: string, floor: number): number => after(sorted.get(key) ?? [], floor);
  const fits = (tale: KeyTale | undefined, version: number, value: string): boolean =>
    (tale?.valueAt.get(version) ?? value) === value;
  const met = new Map(
    [...tales].map(([key, { met: versions, valueAt, answered }]) => [
      key,
      [...new Set([...versions, ...valueAt.keys()])]
        .filter((version) => !answered.has(version))
        .sort((left, right) => left - right),
    ]),
  );
  return {
    canBe: (key, version, value, floor) => version < nextAnswered(key, floor) && fits(tales.get(key), version, value),
    canBeMet: (key, value, floor) => {
      const tale = tales.get(key);
      if (tale === undefined || tale.isUntold || tale.wanted.has(value) || tale.isReadUntold) return true;
      const end = nextAnswered(key, floor);
      return (met.get(key) ?? []).some((version) => version > floor && version < end && fits(tale, version, value));
    },
    canBeDeleted: (key, floor) => {
      const end = nextAnswered(key, floor);
      const before = tales.get(key)?.previousOf.get(end);
      // The next answered write would have found nothing, or what another unanswered one wrote in between.
      return typeof before !== "number" || before > floor;
    },
  };
}

/** The first of the sorted numbers above `floor`. */
function after(sorted: readonly number[], floor: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) > floor) high = middle;
    else low = middle + 1;
  }
  return sorted[low] ?? Number.POSITIVE_INFINITY;
}
