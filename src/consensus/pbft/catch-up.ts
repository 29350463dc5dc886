import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { CheckpointCertificate, CommittedSlot, PeerStatus } from "../engine.ts";
import { forgetProven, learnCheckpoint } from "./checkpoints.ts";
import { RESEND_MS, RESEND_SLOTS_MAX } from "./limits.ts";
import { type Instant, advanceAll, maybeFinalize, sayPrePrepare } from "./normal-case.ts";
import type { Replica } from "./replica.ts";
import type { Slot } from "./slot.ts";

/**
 * Anti-entropy: whoever waits says where it stands, and peers send what it lacks (Castro's thesis, 2001, §5.2: status
 * messages instead of retransmission by the sender). A status is a hint; nothing is believed without a certificate.
 */

/** What a peer needs is sent to it; what it has beyond us is asked for. */
export function onPeerStatus(replica: Replica, from: ValidatorIndex, status: PeerStatus): void {
  replica.peers.set(from, status);
  sendMissing(replica, from, status);
  const lags = status.executed < replica.executed;
  // One that waits for a view alone learns so that it is alone. Not when it is ahead: two would answer each other for ever.
  const waitsAbove =
    replica.active && !status.active && status.view > replica.view && status.executed <= replica.executed;
  if (lags || waitsAbove) replica.emit({ kind: "status", to: from, status: replica.status() });
  const gap = status.executed - replica.finalizing;
  if (gap >= replica.windows.checkpointInterval || (gap > 0 && !replica.progressed)) maybeSync(replica);
}

/**
 * Asks the peer that is furthest ahead for committed places, one question at a time. Who did not deliver has its turn after
 * all others: a liar that claims the most must not keep a replica from those who have something.
 */
export function maybeSync(replica: Replica): void {
  if (replica.syncing !== null) return;
  const ahead = peersAhead(replica);
  const best = ahead.find((peer) => !replica.syncFailed.has(peer)) ?? ahead[0];
  if (best === undefined) return;
  if (replica.syncFailed.has(best)) replica.syncFailed.clear();
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
    onSyncFailed(replica, from);
  }
  maybeFinalize(replica);
}

/** What a peer said of itself was not true, or is not any more: the next one is asked. */
export function onSyncFailed(replica: Replica, from: ValidatorIndex): void {
  replica.peers.delete(from);
  replica.syncFailed.add(from);
  if (replica.syncing !== null && replica.syncing.from !== from) return;
  replica.syncing = null;
  maybeSync(replica);
}

/** After execution: the next stretch, while peers are ahead. */
export function continueSync(replica: Replica): void {
  const { syncing } = replica;
  if (syncing === null || syncing.until === null || replica.executed < syncing.until) return;
  replica.syncing = null;
  forgetProven(replica);
  maybeSync(replica);
}

/** Peers that say they executed what this replica has not, the furthest first. */
function peersAhead(replica: Replica): readonly ValidatorIndex[] {
  return [...replica.peers]
    .filter(([, status]) => status.executed > replica.finalizing)
    .sort(([left, { executed: leftExecuted }], [right, { executed: rightExecuted }]) => {
      return rightExecuted - leftExecuted || left - right;
    })
    .map(([peer]) => peer);
}

/**
 * Whether nothing is left to wait for, so that this replica may be silent ("an idle cluster is quiet"). An observer never
 * is: nobody sends to it unasked.
 */
export function isIdle(replica: Replica): boolean {
  if (replica.self === null || replica.syncing !== null || replica.ahead !== null) return false;
  if (replica.lanes.waitingSinceMs() !== null || peersAhead(replica).length > 0) return false;
  if (!replica.active && !isStranded(replica)) return false;
  for (const slot of replica.slots.values())
    if (slot.sequence > replica.finalizing && isOpen(replica, slot)) return false;
  return true;
}

/** A place that somebody honest works on, as far as this replica knows. */
function isOpen(replica: Replica, slot: Slot): boolean {
  if (slot.accepted !== null || slot.proposed !== null || slot.committed !== null) return true;
  let commits = 0;
  for (const { view } of slot.commits.values()) if (view >= replica.view || !replica.active) commits += 1;
  return commits >= replica.set.honestMinority;
}

/** Asks for a view that cannot come: more than n - q others work in lower ones. They will ask when they need it. */
function isStranded(replica: Replica): boolean {
  let content = 0;
  for (const status of replica.peers.values()) if (status.active && status.view < replica.view) content += 1;
  return content > replica.set.size - replica.set.quorum;
}

/** Whether f + 1 others say that they executed more: then the fault is not the leader's. */
export function isBehind(replica: Replica): boolean {
  const ahead = [...replica.peers.values()].filter((status) => status.executed > replica.executed);
  return ahead.length >= replica.set.honestMinority;
}

/** The regular look at unfinished business; without progress since the last one, peers are told and asked. */
export function onResendTimer(replica: Replica, at: Instant): void {
  offerToLeader(replica, at);
  if (!replica.progressed) {
    const { syncing } = replica;
    if (syncing !== null && syncing.until === null) replica.syncFailed.add(syncing.from);
    replica.syncing = null;
    replica.emit({ kind: "status", to: "all", status: replica.status() });
    maybeSync(replica);
    proposeAgain(replica);
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

/**
 * §4.4: a replica that waits for a request passes it on to the leader, who may never have seen it. For each lane, whatever
 * progress others make: else a creator that leaves out the leader has it replaced.
 */
function offerToLeader(replica: Replica, at: Instant): void {
  if (replica.leads || !replica.active) return;
  const patienceMs = replica.timeout.currentMs() / 4;
  const digests = replica.set.indices().flatMap((creator) => {
    const sinceMs = replica.lanes.waitingSinceMsOf(creator);
    if (sinceMs === null || at.nowMs - sinceMs < patienceMs) return [];
    const next = replica.lanes.next(creator, replica.lanes.executed(creator));
    return next === undefined ? [] : [next.digest];
  });
  if (digests.length > 0) replica.emit({ kind: "offer-bundles", digests, to: replica.leader });
}

/** A leader that was behind its own new view: its proposals lay above its window when they came back to it. */
function proposeAgain(replica: Replica): void {
  if (!replica.leads || !replica.active) return;
  for (const slot of replica.sortedSlots()) {
    const { proposed, accepted, sequence } = slot;
    if (proposed !== null && accepted === null && replica.inReceiveWindow(sequence))
      sayPrePrepare(replica, sequence, proposed);
  }
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
    if (sequence > status.stable)
      replica.emit({ kind: "send", to, message: { kind: "checkpoint", sequence, stateDigest } });
  }
  if (replica.active) resendSlots(replica, to, status);
}

function resendSlots(replica: Replica, to: ValidatorIndex, status: PeerStatus): void {
  const { view } = replica;
  let sent = 0;
  for (const slot of replica.sortedSlots()) {
    const { sequence } = slot;
    const digest = slot.accepted?.digest ?? slot.proposed;
    if (sequence <= status.executed || digest === null || sent >= RESEND_SLOTS_MAX) continue;
    sent += 1;
    if (replica.leads) {
      const batch = replica.batches.get(digest) ?? null;
      replica.emit({ kind: "send", to, message: { kind: "pre-prepare", view, sequence, digest, batch } });
    } else if (slot.prepareSaid) {
      replica.emit({ kind: "send", to, message: { kind: "prepare", view, sequence, digest } });
    }
    if (slot.commitSaid) replica.emit({ kind: "send", to, message: { kind: "commit", view, sequence, digest } });
  }
}
