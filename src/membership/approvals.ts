import { type Codec, encode } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { compareHashes, type Hash } from "../lib/hash.ts";
import type { Sequence, ValidatorIndex } from "./ids.ts";
import { type Change, changeCodec } from "./membership-command.ts";
import { validatorIndexCodec } from "./seal.ts";
import { VALIDATORS_MAX } from "./validator-set.ts";

/**
 * For how many sequences an approval counts: about a day at 12 batches a second. Operators of different organisations need
 * hours to agree; an approval that is much older speaks of a situation that has passed.
 */
export const APPROVAL_SEQUENCES_MAX = 1_000_000;

/** How many changes wait with one validator's approval: an operator has few at hand, a liar fills no memory (3 KB each). */
export const PENDING_PER_APPROVER_MAX = 4;

export interface Approval {
  readonly validator: ValidatorIndex;
  /** When it was given. */
  readonly sequence: Sequence;
}

/** A change that waits for a quorum. Approvals count together only for the same change, byte for byte. */
export interface PendingChange {
  readonly id: Hash;
  readonly change: Change;
  /** Of distinct validators, ascending by index; at least one. */
  readonly approvals: readonly Approval[];
}

/** Ascending by id. */
export type PendingChanges = readonly PendingChange[];

const sequenceCodec: Codec<Sequence> = mapped(
  u64,
  (sequence) => sequence as Sequence,
  (sequence) => sequence,
);

export const pendingChangesCodec: Codec<PendingChanges> = vec(
  struct<PendingChange>({
    id: hash,
    change: changeCodec,
    approvals: vec(struct<Approval>({ validator: validatorIndexCodec, sequence: sequenceCodec }), VALIDATORS_MAX),
  }),
  VALIDATORS_MAX * PENDING_PER_APPROVER_MAX,
);

const CHANGE_TAG = asciiBytes("change\0");

export function changeId(change: Change): Hash {
  return hashOf("membership", CHANGE_TAG, encode(changeCodec, change));
}

/** Whom a change is about. */
export function subjectOf(change: Change): NodeId {
  return change.kind === "admit" ? change.candidate.nodeId : change.validator;
}

/** With this validator's approval of the change, given now; a former one of the same change is renewed. */
export function withApproval(
  pending: PendingChanges,
  change: Change,
  validator: ValidatorIndex,
  sequence: Sequence,
): PendingChanges {
  const id = changeId(change);
  const known = pending.find((other) => other.id === id);
  const others = (known?.approvals ?? []).filter((approval) => approval.validator !== validator);
  const approvals = [...others, { validator, sequence }].sort((left, right) => left.validator - right.validator);
  const renewed: PendingChange = { id, change: known?.change ?? owned(change), approvals };
  return [...pending.filter((other) => other.id !== id), renewed].sort((left, right) =>
    compareHashes(left.id, right.id),
  );
}

/** How many of them this validator approves of, the change of this id left out. */
export function countBy(pending: PendingChanges, validator: ValidatorIndex, id: Hash): number {
  return pending.filter((other) => other.id !== id && other.approvals.some((given) => given.validator === validator))
    .length;
}

/** Without the approvals that no longer count, and without changes that nobody approves of any more. */
export function keepApprovals(pending: PendingChanges, counts: (approval: Approval) => boolean): PendingChanges {
  if (pending.every(({ approvals }) => approvals.every(counts))) return pending;
  return pending
    .map((one) => ({ ...one, approvals: one.approvals.filter(counts) }))
    .filter(({ approvals }) => approvals.length > 0);
}

/** Without the changes about this node: what was approved of spoke of its former standing. */
export function withoutSubject(pending: PendingChanges, subject: NodeId): PendingChanges {
  const isOther = ({ change }: PendingChange): boolean => subjectOf(change) !== subject;
  return pending.every(isOther) ? pending : pending.filter(isOther);
}

export function isFresh({ sequence }: Approval, now: Sequence): boolean {
  return now - sequence <= APPROVAL_SEQUENCES_MAX;
}

/** Its bytes copied: they may be a view into a whole bundle, which the state must not hold on to. */
function owned(change: Change): Change {
  if (change.kind === "dismiss") return change;
  const { mlDsa, ed25519 } = change.candidate.publicKeys;
  const publicKeys = { mlDsa: mlDsa.slice(), ed25519: ed25519?.slice() ?? null };
  return { kind: "admit", candidate: { ...change.candidate, publicKeys } };
}
