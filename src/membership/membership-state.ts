import { type Codec, encode } from "../codec/codec.ts";
import { struct, vec } from "../codec/composites.ts";
import { u16 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { NodeId } from "../crypto/identity.ts";
import { asciiBytes } from "../lib/ascii.ts";
import { assert, present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import { isFresh, keepApprovals, type PendingChanges, pendingChangesCodec, withoutSubject } from "./approvals.ts";
import { epochCodec } from "./evidence.ts";
import type { Epoch, Sequence, ValidatorIndex } from "./ids.ts";
import type { MembershipCommand } from "./membership-command.ts";
import { MembershipDraft, type Verdict } from "./membership-draft.ts";
import {
  activated,
  EVIDENCE_EPOCHS_MAX,
  type MembershipEntry,
  membershipEntryCodec,
  newEntry,
  wasActiveIn,
} from "./membership-entry.ts";
import { type Report, reportCodec } from "./reputation.ts";
import { activeOf, condemnedOf, type Removal, rotate } from "./rotation.ts";
import { validatorIndexCodec } from "./seal.ts";
import { type NetworkContext, ValidatorSet, VALIDATORS_MAX } from "./validator-set.ts";

/** How many validators may be active at a time: 1 <= min <= max <= `VALIDATORS_MAX`. */
export interface MembershipPolicy {
  readonly min: number;
  readonly max: number;
}

/**
 * All that decides who is a validator; equal on every correct replica after the same sequence, and a part of the state
 * that checkpoints vote on. Every list has one order, so that equal states have equal bytes.
 */
export interface MembershipState {
  readonly epoch: Epoch;
  readonly policy: MembershipPolicy;
  /** By index. Those from `rosterSize` on came after the epoch began, and are in no set's roster before the next. */
  readonly entries: readonly MembershipEntry[];
  readonly rosterSize: number;
  /** Who waits for a place ("standby"), in order. */
  readonly queue: readonly ValidatorIndex[];
  readonly approvals: PendingChanges;
  /** The newest report of each validator in this epoch, ascending by reporter. */
  readonly reports: readonly Report[];
}

export interface ValidatorSetChanged {
  /** The one that begins. */
  readonly epoch: Epoch;
  /** In the order of their indices, as `removed`. */
  readonly added: readonly NodeId[];
  readonly removed: readonly Removal[];
  readonly size: number;
  readonly quorum: number;
}

export interface CommandNote extends Verdict {
  readonly creator: ValidatorIndex;
  readonly command: MembershipCommand["kind"];
}

export interface MembershipOutcome {
  readonly state: MembershipState;
  /** The next epoch, which begins after this batch; null where this one goes on. */
  readonly changed: ValidatorSetChanged | null;
  /** One for each command, in order. */
  readonly notes: readonly CommandNote[];
}

/**
 * Bytes from a peer must have the digest that a certificate names before they are used: decoding bounds the lists, and
 * leaves it to the digest that they are in order.
 */
export const membershipStateCodec: Codec<MembershipState> = struct<MembershipState>({
  epoch: epochCodec,
  policy: struct<MembershipPolicy>({ min: u16, max: u16 }),
  entries: vec(membershipEntryCodec, VALIDATORS_MAX),
  rosterSize: u16,
  queue: vec(validatorIndexCodec, VALIDATORS_MAX),
  approvals: pendingChangesCodec,
  reports: vec(reportCodec, VALIDATORS_MAX),
});

/** Why a network of this many validators cannot have this policy; null where it can. */
export function policyFault({ min, max }: MembershipPolicy, size: number): string | null {
  if (!Number.isInteger(min) || min < 1) return `the minimum of validators is 1 or more, not ${min}`;
  if (!Number.isInteger(max) || max > VALIDATORS_MAX) {
    return `the maximum of validators is ${VALIDATORS_MAX} or less, not ${max}`;
  }
  return min <= size && size <= max ? null : `${size} validators are not ${min} to ${max}`;
}

/**
 * @param policy one without a `policyFault` for the network's size
 * @param addresses `host:port` of each validator, by its index
 */
export function genesisMembership(
  network: NetworkContext,
  policy: MembershipPolicy,
  addresses: readonly string[],
): MembershipState {
  const { set } = network;
  const fault = policyFault(policy, set.size);
  assert(fault === null, `a policy that fits the network: ${fault}`);
  assert(addresses.length === set.roster.length, "one address for each validator");
  const entries = set.roster.map((validator, index): MembershipEntry => {
    const entry = newEntry({ ...validator, address: present(addresses[index], "an address") });
    return set.has(index) ? activated(entry, set.epoch) : { ...entry, standing: "inactive" };
  });
  const { min, max } = policy;
  const none = { queue: [], approvals: [], reports: [] };
  return { epoch: set.epoch, policy: { min, max }, entries, rosterSize: entries.length, ...none };
}

/**
 * Epochs that are looked back to: as many as may end one right after the other before anybody has heard enough to vote in one
 * of them. Batches that change the set follow each other within milliseconds, and who cannot look back to an epoch in which
 * a quorum voted never votes again. Terms are remembered for no longer.
 */
export const EARLIER_SETS_MAX: number = EVIDENCE_EPOCHS_MAX;

const STATE_TAG = asciiBytes("state\0");

/** States never change, and most batches leave theirs as it is: each is hashed once. */
const DIGESTS = new WeakMap<MembershipState, Hash>();

export function membershipDigest(state: MembershipState): Hash {
  const known = DIGESTS.get(state);
  if (known !== undefined) return known;
  const digest = hashOf("membership", STATE_TAG, encode(membershipStateCodec, state, 4096));
  DIGESTS.set(state, digest);
  return digest;
}

/** The validators of the state's epoch; the same throughout it. */
export function validatorSetOf(state: MembershipState): ValidatorSet {
  const roster = state.entries
    .slice(0, state.rosterSize)
    .map(({ nodeId, publicKeys, name }) => ({ nodeId, publicKeys, name }));
  const terms = state.entries.map(({ activeSinceEpoch }) => activeSinceEpoch ?? (0 as Epoch));
  return new ValidatorSet(state.epoch, roster, activeOf(state.entries), terms);
}

/** The sets of the epochs before this one, the newest first; at most 256. */
export function earlierSetsOf(state: MembershipState): readonly ValidatorSet[] {
  const { roster } = validatorSetOf(state);
  const sets: ValidatorSet[] = [];
  for (let epoch = state.epoch - 1; epoch >= 0 && sets.length < EARLIER_SETS_MAX; epoch--) {
    const active = roster
      .map((_, index) => index as ValidatorIndex)
      .filter((index) => {
        const entry = state.entries[index];
        return entry !== undefined && wasActiveIn(entry, epoch as Epoch);
      });
    if (active.length > 0) sets.push(new ValidatorSet(epoch as Epoch, roster, active));
  }
  return sets;
}

/**
 * All membership commands of one executed batch, in order; their shapes and signatures were checked (`commandFault`,
 * `obligationsOfCommand`). Whatever they change takes effect together, as one next epoch that begins after this batch. A
 * function of its arguments alone; where nothing counted, expired or was still to be carried out, the state is the very
 * same object.
 *
 * To be called for every batch, also one without commands: one change removes only so many (`removalsMax`), and the rest of
 * the condemned go after the batches that follow, each time by the n and f of the epoch that then ends.
 */
export function applyMembership(
  state: MembershipState,
  commands: readonly { readonly creator: ValidatorIndex; readonly command: MembershipCommand }[],
  at: { readonly sequence: Sequence; readonly timestampMs: number },
): MembershipOutcome {
  const draft = new MembershipDraft(state.epoch, state, at.sequence);
  draft.renewApprovals((pending) => keepApprovals(pending, (approval) => isFresh(approval, at.sequence)));
  const notes = commands.map(({ creator, command }): CommandNote => {
    return { creator, command: command.kind, ...draft.apply(creator, command) };
  });
  draft.judgeAll();
  const { entries, queue, approvals, reports } = draft.lists;
  const postponed = new Set(condemnedOf(state.entries));
  const rotation = rotate(state.policy, entries, queue, state.epoch, postponed);
  if (rotation === null) {
    const isSame =
      entries === state.entries && queue === state.queue && approvals === state.approvals && reports === state.reports;
    return { state: isSame ? state : { ...state, ...draft.lists }, changed: null, notes };
  }
  const next: MembershipState = {
    ...state,
    epoch: (state.epoch + 1) as Epoch,
    entries: rotation.entries,
    rosterSize: rotation.entries.length,
    queue: rotation.queue,
    approvals: approvalsAfter(approvals, rotation.entries, [
      ...rotation.added,
      ...rotation.removed.map(({ nodeId }) => nodeId),
    ]),
    reports: [],
  };
  const { size, quorum } = validatorSetOf(next);
  const { added, removed } = rotation;
  return { state: next, changed: { epoch: next.epoch, added, removed, size, quorum }, notes };
}

/** What still waits in the next epoch: approvals of who is active then, about nodes whose place did not change. */
function approvalsAfter(
  pending: PendingChanges,
  entries: readonly MembershipEntry[],
  moved: readonly NodeId[],
): PendingChanges {
  const ofActive = keepApprovals(pending, ({ validator }) => entries[validator]?.standing === "active");
  return moved.reduce(withoutSubject, ofActive);
}
