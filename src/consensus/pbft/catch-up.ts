import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { CheckpointCertificate, CommittedSlot, PeerStatus } from "../engine.ts";
import { learnCheckpoint } from "./checkpoints.ts";
import { RESEND_MS, RESEND_SLOTS_MAX } from "./limits.ts";
import { type Instant, advanceAll, maybeFinalize } from "./normal-case.ts";
import type { Replica } from "./replica.ts";

/**
 * Anti-entropy: whoever waits says where it stands, and peers send what it lacks (Castro's thesis, 2001, §5.2: status
 * messages instead of retransmission by the sender). A status is a hint; nothing is believed without a certificate.
 */

/** What a peer needs is sent to it; what it has beyond us is asked for. */
export function onPeerStatus(replica: Replica, from: ValidatorIndex, status: PeerStatus): void {
  replica.peers.set(from, status);
  sendMissing(replica, from, status);
  if (status.executed < replica.executed) replica.emit({ kind: "status", to: from, status: replica.status() });
  const gap = status.executed - replica.finalizing;
  if (gap >= replica.windows.checkpointInterval || (gap > 0 && !replica.progressed)) maybeSync(replica);
}

/** Asks the peer that is furthest ahead for committed places, one question at a time. */
export function maybeSync(replica: Replica): void {
  if (replica.syncing !== null) return;
  let best: ValidatorIndex | null = null;
  let executed: number = replica.finalizing;
  for (const [peer, status] of [...replica.peers].sort(([left], [right]) => left - right)) {
    if (status.executed > executed) {
      best = peer;
      executed = status.executed;
    }
  }
  if (best === null) return;
  replica.syncing = { from: best, until: null };
  replica.emit({ kind: "sync", from: best, fromSequence: (replica.finalizing + 1) as Sequence });
}

/** Committed places arrived, each proved by its certificate: no view is needed to believe them. */
export function onSynced(
  replica: Replica,
  from: ValidatorIndex,
  slots: readonly CommittedSlot[],
  checkpoint: CheckpointCertificate | null,
): void {
  let last: Sequence = replica.finalizing;
  for (const { sequence, batch, certificate } of slots) {
    // Only what follows without a gap, so that a peer cannot make us hold places far ahead.
    if (sequence > last + 1) break;
    last = Math.max(last, sequence) as Sequence;
    if (sequence <= replica.finalizing) continue;
    replica.learnBatch(batch);
    const slot = replica.slot(sequence);
    slot.committed ??= certificate;
  }
  if (checkpoint !== null) learnCheckpoint(replica, checkpoint);
  if (last > replica.finalizing) {
    replica.syncing = { from, until: last };
  } else {
    replica.syncing = null;
    replica.peers.delete(from);
  }
  maybeFinalize(replica);
}

export function onSyncFailed(replica: Replica, from: ValidatorIndex): void {
  if (replica.syncing?.from === from) replica.syncing = null;
  replica.peers.delete(from);
}

/** After execution: the next stretch, while peers are ahead. */
export function continueSync(replica: Replica): void {
  const { syncing } = replica;
  if (syncing === null || syncing.until === null || replica.executed < syncing.until) return;
  replica.syncing = null;
  const ahead = [...replica.peers.values()].some((status) => status.executed > replica.finalizing);
  if (ahead) maybeSync(replica);
}

/** Whether f + 1 others say that they executed more: then the fault is not the leader's. */
export function isBehind(replica: Replica): boolean {
  const ahead = [...replica.peers.values()].filter((status) => status.executed > replica.executed);
  return ahead.length >= replica.set.honestMinority;
}

/** The regular look at unfinished business; without progress since the last one, peers are told and asked. */
export function onResendTimer(replica: Replica, at: Instant): void {
  if (!replica.progressed) {
    replica.syncing = null;
    replica.emit({ kind: "status", to: "all", status: replica.status() });
    maybeSync(replica);
    offerToLeader(replica);
    advanceAll(replica, at);
  }
  replica.progressed = false;
  replica.timers.delete("resend");
}

export function armResend(replica: Replica, nowMs: number): void {
  if (!replica.timers.has("resend")) {
    replica.setTimer("resend", nowMs + Math.min(RESEND_MS, replica.timeout.currentMs() / 2));
  }
}

/** §4.4: a replica that waits for a request passes it on to the leader, who may never have seen it. */
function offerToLeader(replica: Replica): void {
  if (replica.leads || !replica.active) return;
  const digests = replica.set.indices().flatMap((creator) => {
    const next = replica.lanes.next(creator, replica.lanes.executed(creator));
    return next === undefined ? [] : [next.digest];
  });
  if (digests.length > 0) replica.emit({ kind: "offer-bundles", digests, to: replica.leader });
}

function sendMissing(replica: Replica, to: ValidatorIndex, status: PeerStatus): void {
  const { newView, ownViewChange } = replica;
  const peerIsBehindView = status.view < replica.view || (status.view === replica.view && !status.active);
  if (newView !== null && newView.message.view >= status.view && peerIsBehindView && replica.active) {
    replica.emit({ kind: "relay", to, signed: newView });
  }
  if (replica.self === null) return;
  if (!replica.active && ownViewChange !== null) replica.emit({ kind: "send", to, message: ownViewChange });
  for (const [sequence, stateDigest] of [...replica.ownStates].sort(([left], [right]) => left - right)) {
    if (sequence > status.stable) replica.emit({ kind: "send", to, message: { kind: "checkpoint", sequence, stateDigest } });
  }
  if (replica.active) resendSlots(replica, to, status);
}

function resendSlots(replica: Replica, to: ValidatorIndex, status: PeerStatus): void {
  const { view } = replica;
  let sent = 0;
  for (const slot of replica.sortedSlots()) {
    const { accepted, sequence } = slot;
    if (sequence <= status.executed || accepted === null || sent >= RESEND_SLOTS_MAX) continue;
    sent += 1;
    const { digest } = accepted;
    if (replica.leads) {
      const batch = replica.batches.get(digest) ?? null;
      replica.emit({ kind: "send", to, message: { kind: "pre-prepare", view, sequence, digest, batch } });
    } else if (slot.prepareSaid) {
      replica.emit({ kind: "send", to, message: { kind: "prepare", view, sequence, digest } });
    }
    if (slot.commitSaid) replica.emit({ kind: "send", to, message: { kind: "commit", view, sequence, digest } });
  }
}
