import { type Codec, encode } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import { merkleRoot } from "../crypto/merkle.ts";
import type { Batch } from "../dag/batch.ts";
import { batchDigest } from "../dag/batch.ts";
import type { BundleRef } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Report } from "../dag/report.ts";
import { applyReports, type Judgement } from "../dag/resolution.ts";
import { NO_RESOLUTIONS, resolutionDigest, type ResolutionState, withoutReports } from "../dag/resolution-state.ts";
import { assert, present } from "../lib/assert.ts";
import { type Hash, hashBytes, ZERO_HASH } from "../lib/hash.ts";
import { epochCodec } from "../membership/evidence.ts";
import type { Epoch, Nonce, Position, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { MembershipCommand } from "../membership/membership-command.ts";
import {
  applyMembership,
  membershipDigest,
  type MembershipOutcome,
  type MembershipState,
  type ValidatorSetChanged,
} from "../membership/membership-state.ts";
import { type NetworkContext, VALIDATORS_MAX } from "../membership/validator-set.ts";

/** A lane's executed tip and its height in the DAG: 1 + the height of the vertex before; genesis has height 0. */
export interface ExecutedLane extends LaneTip {
  readonly height: number;
}

/** All that execution depends on and leaves behind; equal on every correct replica after the same sequence. */
export interface ExecutionState {
  /** The epoch that the next sequence belongs to. */
  readonly epoch: Epoch;
  /** The last sequence of the epoch before; 0 in the first. */
  readonly epochBase: Sequence;
  /** The digest of the membership, which is kept beside this state because it is large and changes seldom. */
  readonly membership: Hash;
  readonly sequence: Sequence;
  /** The last vertex's place in the total order; 0 before the first. */
  readonly position: Position;
  /** Monotone: the largest timestamp of any batch so far. */
  readonly timestampMs: number;
  /** Chains the digests of every batch and of what of it was executed at which positions. */
  readonly history: Hash;
  readonly lanes: readonly ExecutedLane[];
  /** The digest of the open conflicts and their ends; null where none was ever reported. */
  readonly resolution: Hash | null;
  /** `Replica.root` after this batch; null in a network whose order drives no application. */
  readonly application: Hash | null;
}

/** A bundle that took its place in the total order. */
export interface ExecutedBundle {
  readonly ref: BundleRef;
  readonly firstPosition: Position;
  readonly height: number;
}

export interface Execution {
  readonly state: ExecutionState;
  readonly executed: readonly ExecutedBundle[];
  readonly timestampMs: number;
  readonly membership: MembershipState;
  /** The validator set that the next sequence's epoch begins with; null where the epoch goes on. */
  readonly changed: ValidatorSetChanged | null;
  readonly notes: MembershipOutcome["notes"];
  /** What the batch's reports of open conflicts led to, with the state that the next sequence begins with. */
  readonly judgement: Judgement;
}

/** What execution reads beside the state: it is content that the state's digests stand for. */
export interface ExecutionInput {
  readonly membership: MembershipState;
  bundleOf(digest: Hash): BundleRef;
  /** What a membership bundle's creator says, in order; nothing for a bundle of clients' payloads. */
  commandsOf(ref: BundleRef): readonly MembershipCommand[];
  /** What is remembered of open conflicts; absent where nobody reports any. */
  readonly resolution?: ResolutionState;
  /** The reports of a bundle of purpose `resolution`, in order; nothing for any other. */
  reportsOf?(ref: BundleRef): readonly Report[];
  /** Drives the application by the batch and gives its root; absent where there is none. */
  replicate?(ordered: OrderedBundles): Hash;
}

/** What an executed batch brings an application. */
export interface OrderedBundles {
  readonly sequence: Sequence;
  readonly timestampMs: number;
  readonly history: Hash;
  readonly executed: readonly ExecutedBundle[];
}

type OrderedState = Omit<ExecutionState, "resolution" | "application">;

const orderedStateCodec: Codec<OrderedState> = struct<OrderedState>({
  epoch: epochCodec,
  epochBase: mapped(
    u64,
    (value) => value as Sequence,
    (value) => value,
  ),
  membership: hash,
  sequence: mapped(
    u64,
    (value) => value as Sequence,
    (value) => value,
  ),
  position: mapped(
    u64,
    (value) => value as Position,
    (value) => value,
  ),
  timestampMs: u64,
  history: hash,
  lanes: vec(
    struct<ExecutedLane>({
      nonce: mapped(
        u64,
        (value) => value as Nonce,
        (value) => value,
      ),
      tip: hash,
      height: u64,
    }),
    VALIDATORS_MAX,
  ),
});

/**
 * The digest of the open conflicts and the application's root stand at the end, and only where there is one: one hash is the
 * former, two are both, where the former may be of zeros for none. The state is therefore the last thing in whatever carries it.
 */
export const executionStateCodec: Codec<ExecutionState> = {
  sizeMin: orderedStateCodec.sizeMin,
  encode: (writer, state) => {
    const { resolution, application } = state;
    orderedStateCodec.encode(writer, state);
    if (resolution !== null || application !== null) hash.encode(writer, resolution ?? ZERO_HASH);
    if (application !== null) hash.encode(writer, application);
  },
  decode: (reader) => {
    const ordered = orderedStateCodec.decode(reader);
    const first = reader.remaining === 0 ? null : hash.decode(reader);
    const application = reader.remaining === 0 ? null : hash.decode(reader);
    const isNone = first === ZERO_HASH;
    if (isNone && application === null)
      reader.fail("not-canonical", "an execution state with a digest of no conflicts");
    return { ...ordered, resolution: isNone ? null : first, application };
  },
};

/** @param application the root of an application to which nothing happened yet */
export function genesisState(
  network: NetworkContext,
  membership: MembershipState,
  application: Hash | null = null,
): ExecutionState {
  return {
    epoch: network.set.epoch,
    epochBase: 0 as Sequence,
    membership: membershipDigest(membership),
    sequence: 0 as Sequence,
    position: 0 as Position,
    timestampMs: 0,
    history: network.genesis,
    lanes: network.set.roster.map(() => emptyLane(network.genesis)),
    resolution: null,
    application,
  };
}

/** The lane of a validator that made nothing yet. */
function emptyLane(genesis: Hash): ExecutedLane {
  return { nonce: 0 as Nonce, tip: genesis, height: 0 };
}

/** `ExecutionState.history` after one more batch: what was ordered, and what of it took which place. */
export function nextHistory(
  history: Hash,
  batch: Batch,
  executed: readonly { readonly bundle: Hash; readonly firstPosition: Position }[],
): Hash {
  return historyAfter(history, { batch: batchDigest(batch), executed: executedDigest(executed.map(executedLeaf)) });
}

/** What one batch adds to the chain of histories. */
export interface HistoryLink {
  readonly batch: Hash;
  readonly executed: Hash;
}

export function historyAfter(history: Hash, { batch, executed }: HistoryLink): Hash {
  return hashOf("history", hashBytes(history), hashBytes(batch), hashBytes(executed));
}

/** That a bundle's first vertex took this place. */
export function executedLeaf(placed: { readonly bundle: Hash; readonly firstPosition: Position }): Hash {
  return hashOf("executed-bundle", encode(u64, placed.firstPosition, 8), hashBytes(placed.bundle));
}

/** Of what a batch executed, in order; of zeros where that was nothing. */
export function executedDigest(leaves: readonly Hash[]): Hash {
  return leaves.length === 0 ? ZERO_HASH : executedOf(merkleRoot(leaves));
}

/** The same from the Merkle root of the leaves. */
export function executedOf(root: Hash): Hash {
  return hashOf("executed", hashBytes(root));
}

/** What checkpoints vote on: a replica whose execution differs is found out at the next checkpoint. */
export function executionStateDigest(state: ExecutionState): Hash {
  return hashOf("execution-state", encode(executionStateCodec, state));
}

/**
 * Executes one batch: a bundle takes its place if it directly follows its lane's executed tip, and is passed over if not
 * (it was executed before, or it is the losing branch of a creator's fork, or its turn has not come, or its creator is no
 * validator of this epoch).
 *
 * What the batch says about the validator set takes effect after it, all at once: the epoch ends with this sequence, and
 * whatever the old epoch ordered behind it is void and never executed. Reports of open conflicts are heard in the same way,
 * by the validators of the epoch that orders them.
 *
 * Invariant: every vertex is executed at most once, and a creator's vertices in the order of their nonces. Execution is a
 * function of the state and the batch alone.
 */
export function execute(
  network: NetworkContext,
  state: ExecutionState,
  batch: Batch,
  input: ExecutionInput,
): Execution {
  assert(state.epoch === network.set.epoch, "a batch is executed by the validator set of its epoch");
  const lanes = [...state.lanes];
  const executed: ExecutedBundle[] = [];
  const commands: { readonly creator: ValidatorIndex; readonly command: MembershipCommand }[] = [];
  const reports: { readonly creator: ValidatorIndex; readonly report: Report }[] = [];
  let position: number = state.position;
  for (const digest of batch.bundles) {
    const ref = input.bundleOf(digest);
    const lane = present(lanes[ref.creator], `lane ${ref.creator}`);
    if (!network.set.has(ref.creator) || ref.term !== network.set.termOf(ref.creator)) continue;
    if (ref.firstNonce !== lane.nonce + 1 || ref.previous !== lane.tip) continue;
    const height = lane.height + 1;
    executed.push({ ref, firstPosition: (position + 1) as Position, height });
    lanes[ref.creator] = { nonce: (lane.nonce + ref.count) as Nonce, tip: ref.tip, height };
    position += ref.count;
    for (const command of input.commandsOf(ref)) commands.push({ creator: ref.creator, command });
    for (const report of input.reportsOf?.(ref) ?? []) reports.push({ creator: ref.creator, report });
  }
  assert(Number.isSafeInteger(position), "positions below 2^53");
  const timestampMs = Math.max(state.timestampMs, batch.timestampMs);
  const sequence = (state.sequence + 1) as Sequence;
  const outcome = applyMembership(input.membership, commands, { sequence, timestampMs });
  const { changed } = outcome;
  while (changed !== null && lanes.length < outcome.state.rosterSize) lanes.push(emptyLane(network.genesis));
  const heard = applyReports(network, input.resolution ?? NO_RESOLUTIONS, reports);
  const resolution = changed === null ? heard.state : withoutReports(heard.state);
  const history = nextHistory(
    state.history,
    batch,
    executed.map(({ ref, firstPosition: place }) => ({ bundle: ref.digest, firstPosition: place })),
  );
  const application = input.replicate?.({ sequence, timestampMs, history, executed }) ?? null;
  const next: ExecutionState = {
    epoch: outcome.state.epoch,
    epochBase: changed === null ? state.epochBase : sequence,
    membership: membershipDigest(outcome.state),
    sequence,
    position: position as Position,
    timestampMs,
    history,
    lanes,
    resolution: resolutionDigest(resolution),
    application,
  };
  const { state: membership, notes } = outcome;
  const judgement = { ...heard, state: resolution };
  return { state: next, executed, timestampMs, membership, changed, notes, judgement };
}
