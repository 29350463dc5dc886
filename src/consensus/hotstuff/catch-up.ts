import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { CheckpointCertificate, CommittedSlot, PeerStatus } from "../engine.ts";
import type { BlockNode } from "./block-tree.ts";
import { learnQc, lowestMissing, maybeFinalize } from "./chain.ts";
import { learnCheckpoint } from "./checkpoints.ts";
import { ANSWERED_BLOCKS_MAX, ASK_BLOCKS_MAX, RESEND_MS } from "./limits.ts";
import type { Ask, Certificates } from "./messages.ts";
import { isKnown, learnTc } from "./pacemaker.ts";
import { hasWork } from "./proposing.ts";
import { type Allowance, type Instant, refOf, type Replica } from "./replica.ts";
import { sayVote } from "./votes.ts";

/**
 * Anti-entropy: whoever waits says where it stands, and peers send what it lacks. Blocks above what is executed come from
 * peers' trees, whole places of the log from their ledgers. Nothing is believed without a certificate.
 */

export function onPeerStatus(replica: Replica, from: ValidatorIndex, status: PeerStatus): void {
  replica.peers.set(from, status);
  sendMissing(replica, from, status);
  const lags = status.executed < replica.executed;
  if (lags) replica.emit({ kind: "status", to: from, status: replica.status() });
  const gap = status.executed - replica.finalizing;
  if (gap >= replica.checkpointInterval || (gap > 0 && !replica.progressed)) maybeSync(replica);
}

/**
 * The block that is asked for with its ancestors, the lowest first, and its certificate: so much of one peer's wishes in a
 * time as a correct one has. What it did not get it asks for again, and others.
 */
export function onAsk(replica: Replica, from: ValidatorIndex, { block, above }: Ask, at: Instant): void {
  const { tree } = replica;
  const asked = tree.get(block);
  const allowed = allowanceOf(replica, from, at);
  if (asked === undefined || allowed.blocks === 0) return;
  const path: BlockNode[] = [];
  const most = Math.min(ASK_BLOCKS_MAX, allowed.blocks);
  let node: BlockNode | undefined = asked;
  while (node !== undefined && path.length < most && (path.length === 0 || node.block.view > above)) {
    path.push(node);
    node = tree.parentOf(node);
  }
  allowed.blocks -= path.length;
  for (const { proposal, justifyQc } of path.reverse()) {
    if (proposal === null) continue;
    const message = { ...proposal.message, qc: justifyQc };
    replica.emit({ kind: "relay", to: from, signed: { message, proof: proposal.proof } });
  }
  const { qc } = asked;
  if (qc !== null) replica.tell(from, { kind: "certificates", qc, tc: null });
}

export function onCertificates(replica: Replica, from: ValidatorIndex, { qc, tc }: Certificates, at: Instant): void {
  if (qc !== null) learnQc(replica, qc, from, at);
  if (tc !== null) learnTc(replica, tc, at);
}

/** Asks the peer that is furthest ahead for committed places; who did not deliver has its turn after all others. */
export function maybeSync(replica: Replica): void {
  if (replica.syncing !== null) return;
  const ahead = peersAhead(replica);
  const best = ahead.find((peer) => !replica.syncFailed.has(peer)) ?? ahead[0];
  if (best === undefined) return;
  if (replica.syncFailed.has(best)) replica.syncFailed.clear();
  replica.syncing = { from: best, until: null };
  replica.emit({ kind: "sync", from: best, fromSequence: (replica.finalizing + 1) as Sequence });
}

export function onSynced(
  replica: Replica,
  from: ValidatorIndex,
  slots: readonly CommittedSlot[],
  checkpoint: CheckpointCertificate | null,
): void {
  let last: Sequence = replica.finalizing;
  for (const slot of slots) {
    if (slot.sequence > last + 1) break;
    last = Math.max(last, slot.sequence) as Sequence;
    if (slot.sequence > replica.finalizing && !replica.decided.has(slot.sequence)) {
      replica.decided.set(slot.sequence, slot);
    }
  }
  if (checkpoint !== null) learnCheckpoint(replica, checkpoint);
  if (last > replica.finalizing) replica.syncing = { from, until: last };
  else onSyncFailed(replica, from);
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

export function continueSync(replica: Replica): void {
  const { syncing } = replica;
  if (syncing === null || syncing.until === null || replica.executed < syncing.until) return;
  replica.syncing = null;
  maybeSync(replica);
}

/** Whether nothing is left to wait for, so that this replica may be silent. Nobody sends to an observer unasked. */
export function isIdle(replica: Replica): boolean {
  if (replica.self === null || replica.syncing !== null || replica.ahead !== null) return false;
  if (hasWork(replica) || peersAhead(replica).length > 0) return false;
  for (const sequence of replica.decided.keys()) if (sequence > replica.finalizing) return false;
  return true;
}

/** Whether f + 1 others say that they executed more: then the fault is not the leader's. */
export function isBehind(replica: Replica): boolean {
  const ahead = [...replica.peers.values()].filter((status) => status.executed > replica.finalizing);
  return ahead.length >= replica.set.honestMinority;
}

/** The regular look at unfinished business; without progress since the last one, peers are told and asked. */
export function onResendTimer(replica: Replica, at: Instant): void {
  offerBundles(replica, at);
  replica.asked.clear();
  if (!replica.progressed) {
    const { syncing } = replica;
    if (syncing !== null && syncing.until === null) replica.syncFailed.add(syncing.from);
    replica.syncing = null;
    replica.emit({ kind: "status", to: "all", status: replica.status() });
    maybeSync(replica);
    askAgain(replica);
    maybeFinalize(replica);
  }
  replica.progressed = false;
}

export function armResend(replica: Replica, nowMs: number): void {
  if (!replica.timers.has("resend")) {
    replica.setTimer("resend", nowMs + Math.min(RESEND_MS, replica.timeout.currentMs() / 2));
  }
}

/** What a peer may still be handed until its window ends. */
function allowanceOf({ answered }: Replica, peer: ValidatorIndex, { nowMs }: Instant): Allowance {
  const known = answered.get(peer);
  if (known !== undefined && nowMs < known.untilMs) return known;
  const fresh: Allowance = { untilMs: nowMs + RESEND_MS, blocks: ANSWERED_BLOCKS_MAX };
  answered.set(peer, fresh);
  return fresh;
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

/** What waits is offered to those who may lead; to all when the view is given up, for the next leaders may lack it. */
function offerBundles(replica: Replica, at: Instant): void {
  const { lanes, set, self } = replica;
  const patienceMs = replica.timeout.currentMs() / 4;
  const digests = set.indices().flatMap((creator) => {
    const sinceMs = lanes.waitingSinceMsOf(creator);
    if (sinceMs === null || at.nowMs - sinceMs < patienceMs) return [];
    const next = lanes.next(creator, lanes.executed(creator));
    return next === undefined ? [] : [next.digest];
  });
  if (digests.length === 0 || self === null) return;
  const next = [replica.leader, nextLeader(replica)];
  const to = replica.active ? next : set.indices();
  for (const peer of new Set(to)) if (peer !== self) replica.emit({ kind: "offer-bundles", digests, to: peer });
}

/** Who is expected to lead the view after the present one. */
function nextLeader({ vote, view, tree, set, leaders }: Replica): ValidatorIndex {
  const voted = vote?.view === view ? tree.get(vote.block) : undefined;
  if (voted !== undefined) return leaders.electedOn(set, voted.block);
  return leaders.afterTimeout(set, (view + 1) as View);
}

/** Certificates and blocks that somebody named and nobody showed. */
function askAgain(replica: Replica): void {
  for (const [signer, { message }] of replica.timeouts) {
    if (!isKnown(replica, message.high)) replica.ask(signer, message.high.block);
  }
  for (const { message, proof } of replica.waiting.values())
    replica.ask(proof.seal.signer, message.block.justify.block);
  const holders = replica.pendingQc?.votes.map(({ seal }) => seal.signer) ?? [];
  for (const holder of holders) if (replica.pendingQc !== null) replica.ask(holder, replica.pendingQc.block);
  const high = replica.tree.sorted().findLast(({ settled }) => settled === null);
  if (high === undefined || high.block.view <= replica.committed.block.view) return;
  for (const peer of replica.set.indices()) replica.ask(peer, lowestMissing(replica, high));
}

function sendMissing(replica: Replica, to: ValidatorIndex, status: PeerStatus): void {
  const { high, tc, self, view } = replica;
  if (self === null) return;
  if (status.view < view) {
    const proof = tc !== null && tc.view + 1 === view ? tc : null;
    if (high.qc !== null || proof !== null) replica.tell(to, { kind: "certificates", qc: high.qc, tc: proof });
  }
  if (status.view <= view) {
    if (!replica.active) replica.tell(to, { kind: "timeout", view, high: refOf(high) });
    sayVote(replica, to, view);
    const own = replica.tree
      .sorted()
      .findLast(({ block, proposal }) => block.view === view && proposal?.proof.seal.signer === self);
    if (own?.proposal != null) {
      const message = { ...own.proposal.message, qc: own.justifyQc };
      replica.emit({ kind: "relay", to, signed: { message, proof: own.proposal.proof } });
    }
  }
  for (const [sequence, stateDigest] of [...replica.ownStates].sort(([left], [right]) => left - right)) {
    if (sequence > status.stable) replica.tell(to, { kind: "checkpoint", sequence, stateDigest });
  }
}
