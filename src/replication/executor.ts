import { type Codec, encode } from "../codec/codec.ts";
import { mapped, struct, vec } from "../codec/composites.ts";
import { hash, u64 } from "../codec/primitives.ts";
import { hashOf } from "../crypto/hash.ts";
import type { Batch } from "../dag/batch.ts";
import { batchDigest } from "../dag/batch.ts";
import type { BundleRef } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import { assert, present } from "../lib/assert.ts";
import { type Hash, hashBytes } from "../lib/hash.ts";
import type { Nonce, Position, Sequence } from "../membership/ids.ts";
import { type NetworkContext, VALIDATORS_MAX } from "../membership/validator-set.ts";

/** A lane's executed tip and its height in the DAG: 1 + the height of the vertex before; genesis has height 0. */
export interface ExecutedLane extends LaneTip {
  readonly height: number;
}

/** All that execution depends on and leaves behind; equal on every correct replica after the same sequence. */
export interface ExecutionState {
  readonly sequence: Sequence;
  /** The last vertex's place in the total order; 0 before the first. */
  readonly position: Position;
  /** Monotone: the largest timestamp of any batch so far. */
  readonly timestampMs: number;
  /** Chains the digests of every executed batch. */
  readonly history: Hash;
  readonly lanes: readonly ExecutedLane[];
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
}

export const executionStateCodec: Codec<ExecutionState> = struct<ExecutionState>({
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

export function genesisState(network: NetworkContext): ExecutionState {
  const lane: ExecutedLane = { nonce: 0 as Nonce, tip: network.genesis, height: 0 };
  return {
    sequence: 0 as Sequence,
    position: 0 as Position,
    timestampMs: 0,
    history: network.genesis,
    lanes: network.set.roster.map(() => lane),
  };
}

/** What checkpoints vote on: a replica whose execution differs is found out at the next checkpoint. */
export function executionStateDigest(state: ExecutionState): Hash {
  return hashOf("execution-state", encode(executionStateCodec, state));
}

/**
 * Executes one batch: a bundle takes its place if it directly follows its lane's executed tip, and is passed over if not
 * (it was executed before, or it is the losing branch of a creator's fork, or its turn has not come).
 *
 * Invariant: every vertex is executed at most once, and a creator's vertices in the order of their nonces. Execution is a
 * function of the state and the batch alone.
 */
export function execute(state: ExecutionState, batch: Batch, bundleOf: (digest: Hash) => BundleRef): Execution {
  const lanes = [...state.lanes];
  const executed: ExecutedBundle[] = [];
  let position: number = state.position;
  for (const digest of batch.bundles) {
    const ref = bundleOf(digest);
    const lane = present(lanes[ref.creator], `lane ${ref.creator}`);
    if (ref.firstNonce !== lane.nonce + 1 || ref.previous !== lane.tip) continue;
    const height = lane.height + 1;
    executed.push({ ref, firstPosition: (position + 1) as Position, height });
    lanes[ref.creator] = { nonce: (lane.nonce + ref.count) as Nonce, tip: ref.tip, height };
    position += ref.count;
  }
  assert(Number.isSafeInteger(position), "positions below 2^53");
  const timestampMs = Math.max(state.timestampMs, batch.timestampMs);
  const next: ExecutionState = {
    sequence: (state.sequence + 1) as Sequence,
    position: position as Position,
    timestampMs,
    history: hashOf("history", hashBytes(state.history), hashBytes(batchDigest(batch))),
    lanes,
  };
  return { state: next, executed, timestampMs };
}
