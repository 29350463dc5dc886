import type { LaneTip } from "../../dag/lanes.ts";
import { assert } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import { StateDivergence } from "../checkpoint.ts";
import type { CheckpointCertificate, DurableWrite } from "../engine.ts";
import { pruneExecuted } from "./chain.ts";
import { forgetOwnState, writeOwnState, writeStable } from "./durable.ts";
import { CHECKPOINTS_AHEAD_MAX } from "./limits.ts";
import type { Checkpoint } from "./messages.ts";
import type { CheckpointVote, Replica } from "./replica.ts";

/**
 * Checkpoints of the executed state, as in Castro & Liskov 1999, §4.3: stable with a quorum of equal state digests. The
 * chain needs none; who joins by a snapshot does.
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
  const { sequence, stateDigest } = event;
  assert(sequence === replica.executed + 1, "execution in sequence");
  replica.executed = sequence;
  replica.decided.delete(sequence);
  replica.progressed = true;
  event.lanes.forEach((tip, creator) => {
    replica.lanes.onExecuted(creator as ValidatorIndex, tip, event.nowMs);
  });
  replica.trace("execute", sequence);
  pruneExecuted(replica);
  if (sequence % replica.checkpointInterval !== 0) return;
  const { ahead } = replica;
  // On the way to a proven checkpoint the ones before it are of no use to anybody.
  if (ahead !== null && sequence < ahead.sequence) return;
  replica.emit({ kind: "persist", writes: [writeOwnState(sequence, stateDigest)] });
  replica.ownStates.set(sequence, stateDigest);
  replica.say({ kind: "checkpoint", sequence, stateDigest });
  maybeStable(replica, sequence);
  if (ahead !== null && ahead.sequence === sequence) becomeStable(replica, ahead);
}

export function onCheckpoint(replica: Replica, { message, proof }: Signed<Checkpoint>): void {
  const votes = replica.checkpointVotes.get(message.sequence) ?? new Map<ValidatorIndex, CheckpointVote>();
  if (!votes.has(proof.seal.signer)) votes.set(proof.seal.signer, { stateDigest: message.stateDigest, proof });
  replica.checkpointVotes.set(message.sequence, votes);
  maybeStable(replica, message.sequence);
}

export function isCheckpointExpected(replica: Replica, sequence: Sequence): boolean {
  const { checkpointInterval, low } = replica;
  return (
    sequence % checkpointInterval === 0 &&
    sequence > low &&
    sequence <= low + (CHECKPOINTS_AHEAD_MAX + 1) * checkpointInterval
  );
}

/** Takes a proven checkpoint over: at once where this replica is there already, else when it gets there. */
export function learnCheckpoint(replica: Replica, certificate: CheckpointCertificate): void {
  const { ahead } = replica;
  if (certificate.sequence <= replica.low) return;
  if (certificate.sequence <= replica.executed) {
    if (replica.ownStates.has(certificate.sequence)) becomeStable(replica, certificate);
  } else if (ahead === null || certificate.sequence < ahead.sequence || ahead.sequence <= replica.executed) {
    replica.ahead = certificate;
  }
}

function maybeStable(replica: Replica, sequence: Sequence): void {
  const votes = replica.checkpointVotes.get(sequence);
  if (votes === undefined) return;
  for (const stateDigest of new Set([...votes.values()].map((vote) => vote.stateDigest))) {
    const matching = [...votes].filter(([, vote]) => vote.stateDigest === stateDigest);
    if (matching.length < replica.quorum) continue;
    const proofs = matching
      .sort(([left], [right]) => left - right)
      .slice(0, replica.quorum)
      .map(([, vote]) => vote.proof);
    const certificate = { epoch: replica.set.epoch, sequence, stateDigest, proofs };
    if (replica.ownStates.has(sequence)) becomeStable(replica, certificate);
    else learnCheckpoint(replica, certificate);
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
  for (const checkpoint of replica.ownStates.keys())
    if (checkpoint <= sequence) writes.push(forgetOwnState(checkpoint));
  forgetUpTo(replica.checkpointVotes, sequence);
  forgetUpTo(replica.ownStates, sequence);
  const named = new Set(replica.tree.sorted().flatMap(({ batch }) => batch.bundles));
  for (const { batch } of replica.decided.values()) for (const bundle of batch.bundles) named.add(bundle);
  replica.lanes.forgetExecuted(named);
  replica.emit({ kind: "persist", writes });
  replica.emit({ kind: "checkpoint", certificate });
  replica.trace("checkpoint-stable", sequence);
}

function forgetUpTo<V>(map: Map<Sequence, V>, sequence: Sequence): void {
  for (const key of map.keys()) if (key <= sequence) map.delete(key);
}
