import type { LaneTip } from "../../dag/lanes.ts";
import { assert } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { StateDivergence } from "../checkpoint.ts";
import type { CheckpointCertificate, DurableWrite } from "../engine.ts";
import { forgetOwnState, forgetSlot, writeOwnState, writeStable } from "./durable.ts";
import type { Checkpoint } from "./messages.ts";
import { NULL_DIGEST } from "./new-view.ts";
import type { CheckpointVote, Replica } from "./replica.ts";

/**
 * Garbage collection, Castro & Liskov 1999, §4.3: a checkpoint is stable with a quorum of equal state digests; what lies
 * at or below it is forgotten, and the watermarks move.
 *
 * Invariant: this replica's state at a stable checkpoint is the quorum's state, or the replica stops.
 */

export function onExecuted(
  replica: Replica,
  event: {
    readonly sequence: Sequence;
    readonly stateDigest: Hash;
    readonly lanes: readonly LaneTip[];
    readonly nowMs: number;
  },
): void {
  assert(event.sequence === replica.executed + 1, "execution in sequence");
  replica.executed = event.sequence;
  replica.progressed = true;
  replica.timeout.onProgress();
  event.lanes.forEach((tip, creator) => {
    replica.lanes.onExecuted(creator as ValidatorIndex, tip, event.nowMs);
  });
  replica.trace("execute", event.sequence);
  if (event.sequence % replica.windows.checkpointInterval !== 0) return;
  const { ahead } = replica;
  // On the way to a proven checkpoint the ones before it are of no use to anybody.
  if (ahead !== null && event.sequence < ahead.sequence) return;
  replica.emit({ kind: "persist", writes: [writeOwnState(event.sequence, event.stateDigest)] });
  replica.ownStates.set(event.sequence, event.stateDigest);
  replica.say({ kind: "checkpoint", sequence: event.sequence, stateDigest: event.stateDigest });
  maybeStable(replica, event.sequence);
  if (ahead !== null && ahead.sequence === event.sequence) becomeStable(replica, ahead);
}

export function onCheckpoint(replica: Replica, { message, proof }: Signed<Checkpoint>): void {
  const votes = replica.checkpointVotes.get(message.sequence) ?? new Map<ValidatorIndex, CheckpointVote>();
  if (!votes.has(proof.seal.signer)) votes.set(proof.seal.signer, { stateDigest: message.stateDigest, proof });
  replica.checkpointVotes.set(message.sequence, votes);
  maybeStable(replica, message.sequence);
}

/** Whether a checkpoint vote is for a place that can still become stable here. */
export function isCheckpointExpected(replica: Replica, sequence: Sequence): boolean {
  const { checkpointInterval, receiveWindow } = replica.windows;
  return sequence % checkpointInterval === 0 && sequence > replica.low && sequence <= replica.low + 2 * receiveWindow;
}

/** Takes a proven checkpoint over: at once where this replica is there already, else when it gets there. */
export function learnCheckpoint(replica: Replica, certificate: CheckpointCertificate): void {
  if (certificate.sequence <= replica.low) return;
  if (certificate.sequence <= replica.executed) {
    // Own states are kept for every checkpoint above the stable one.
    if (replica.ownStates.has(certificate.sequence)) becomeStable(replica, certificate);
  } else if (
    replica.ahead === null ||
    certificate.sequence < replica.ahead.sequence ||
    replica.ahead.sequence <= replica.executed
  ) {
    replica.ahead = certificate;
  }
}

function maybeStable(replica: Replica, sequence: Sequence): void {
  const votes = replica.checkpointVotes.get(sequence);
  if (votes === undefined) return;
  const own = replica.ownStates.get(sequence);
  for (const stateDigest of new Set([...votes.values()].map((vote) => vote.stateDigest))) {
    const matching = [...votes].filter(([, vote]) => vote.stateDigest === stateDigest);
    if (matching.length < replica.set.quorum) continue;
    const proofs = matching
      .sort(([left], [right]) => left - right)
      .slice(0, replica.set.quorum)
      .map(([, vote]) => vote.proof);
    const certificate = { epoch: replica.set.epoch, sequence, stateDigest, proofs };
    if (own === undefined) learnCheckpoint(replica, certificate);
    else becomeStable(replica, certificate);
    return;
  }
}

function becomeStable(replica: Replica, certificate: CheckpointCertificate): void {
  const { sequence, stateDigest } = certificate;
  if (sequence <= replica.low) return;
  const own = replica.ownStates.get(sequence);
  assert(own !== undefined, "a checkpoint becomes stable where it was executed");
  if (own !== stateDigest) throw new StateDivergence(certificate, own);
  replica.stable = certificate;
  for (const [signer, vote] of replica.checkpointVotes.get(sequence) ?? []) {
    if (vote.stateDigest !== stateDigest) replica.emit({ kind: "divergence", signer, sequence });
  }
  if (replica.ahead !== null && replica.ahead.sequence <= sequence) replica.ahead = null;
  const writes: DurableWrite[] = [writeStable(certificate)];
  replica.committers = replica.slots.get(replica.executed)?.commits.size ?? replica.committers;
  for (const slot of replica.sortedSlots()) {
    if (slot.sequence > sequence) continue;
    writes.push(...forgetSlot(slot.sequence));
    replica.slots.delete(slot.sequence);
  }
  for (const checkpoint of replica.ownStates.keys())
    if (checkpoint <= sequence) writes.push(forgetOwnState(checkpoint));
  forgetUpTo(replica.checkpointVotes, sequence);
  forgetUpTo(replica.ownStates, sequence);
  forgetContent(replica);
  replica.emit({ kind: "persist", writes });
  replica.emit({ kind: "checkpoint", certificate });
  replica.trace("checkpoint-stable", sequence);
}

/**
 * While catching up: executed places below a proven checkpoint, for which nothing was ever said here, are not needed any
 * more. What was said is kept until the checkpoint is reached: a view change must show it.
 */
export function forgetProven(replica: Replica): void {
  const { ahead } = replica;
  if (ahead === null) return;
  for (const slot of replica.sortedSlots()) {
    if (slot.sequence > replica.executed || slot.sequence >= ahead.sequence) break;
    if (slot.accepted === null && slot.proposed === null && slot.prepared === null) replica.slots.delete(slot.sequence);
  }
  forgetContent(replica);
}

/** Lets go of the content that no open place names. */
function forgetContent(replica: Replica): void {
  const kept = new Set<Hash>([NULL_DIGEST, ...replica.assigned.values()]);
  for (const { accepted, proposed, prepared, committed } of replica.slots.values()) {
    for (const digest of [accepted?.digest, proposed, prepared?.digest, committed?.digest]) {
      if (digest !== undefined && digest !== null) kept.add(digest);
    }
  }
  const named = new Set<Hash>();
  for (const [digest, batch] of replica.batches) {
    if (!kept.has(digest)) replica.batches.delete(digest);
    else for (const bundle of batch.bundles) named.add(bundle);
  }
  replica.lanes.forgetExecuted(named);
}

function forgetUpTo<V>(map: Map<Sequence, V>, sequence: Sequence): void {
  for (const key of map.keys()) if (key <= sequence) map.delete(key);
}
