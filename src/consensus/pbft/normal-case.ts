import { type Batch, batchDigest } from "../../dag/batch.ts";
import { assert, present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { CommittedSlot } from "../engine.ts";
import { takeProposable } from "../proposable.ts";
import { writeAccepted, writePrepared } from "./durable.ts";
import { CLOCK_SKEW_MS_MAX, FETCH_DIGESTS_MAX, PIPELINE_DEPTH } from "./limits.ts";
import type { Commit, Prepare, PrePrepare } from "./messages.ts";
import type { Replica } from "./replica.ts";
import { isOtherThanFormer, type Slot, type Vote } from "./slot.ts";
import { statementOf } from "./statements.ts";

/**
 * Normal-case operation, Castro & Liskov 1999, §4.2.
 *
 * Invariant: for one view and sequence this replica accepts one digest, for ever; it says "prepare" only for what it
 * accepted and holds in full, and "commit" only for what prepared in the view in which it is active.
 */

/** Of one validator in one view. Its first lies are proof enough; the rest would only cost everybody a relay to all. */
const STRAY_VOTES_SHOWN_MAX = 4;

export interface Instant {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** The leader proposes what waits, while the pipeline and the window allow. */
export function maybePropose(replica: Replica, at: Instant): void {
  if (!replica.leads || !replica.active || !replica.started) return;
  for (;;) {
    const inFlight = replica.nextSequence - 1 - replica.finalizing;
    if (inFlight >= PIPELINE_DEPTH || replica.nextSequence > replica.low + replica.windows.sendWindow) return;
    const bundles = takeProposable(replica.lanes, replica.set, openBatches(replica));
    if (bundles.length === 0) return;
    replica.timestampMs = Math.max(replica.timestampMs, at.wallMs);
    propose(replica, { timestampMs: replica.timestampMs, bundles });
  }
}

/** Sends the leader's pre-prepare for the next free sequence. */
export function propose(replica: Replica, batch: Batch): void {
  const sequence = replica.nextSequence;
  replica.nextSequence = (sequence + 1) as Sequence;
  const digest = replica.learnBatch(batch);
  sayPrePrepare(replica, sequence, digest);
  replica.trace("propose", sequence, `${batch.bundles.length} bundles`);
}

/** Durable first: a leader that comes back must never propose anything else here in this view. */
export function sayPrePrepare(replica: Replica, sequence: Sequence, digest: Hash): void {
  const { view } = replica;
  const batch = replica.batches.get(digest) ?? null;
  const record = { view, digest, batch, proof: null };
  replica.slot(sequence).proposed = digest;
  replica.emit({ kind: "persist", writes: [writeAccepted(sequence, record)] });
  replica.say({ kind: "pre-prepare", view, sequence, digest, batch });
}

export function onPrePrepare(replica: Replica, signed: Signed<PrePrepare>, at: Instant): void {
  const { message, proof } = signed;
  const { view, sequence, digest, batch } = message;
  // §4.4: what the new view's checkpoint covers is settled. A replica that has not executed it must not vote on it anew.
  if (sequence <= replica.floor) return replica.trace("discard", sequence, "a proposal below the view's checkpoint");
  const slot = replica.slot(sequence);
  if (slot.accepted !== null && slot.accepted.digest !== digest) {
    reportConflict(replica, signed, slot.accepted);
    return;
  }
  if (slot.committed !== null && slot.committed.digest !== digest) {
    return replica.trace("discard", sequence, "a proposal for a place that is committed otherwise");
  }
  const assigned = replica.assigned.get(sequence);
  if (assigned !== undefined && assigned !== digest) {
    replica.trace("discard", sequence, "a proposal against the new-view message");
    return;
  }
  if (assigned === undefined && !isFresh(replica, message, at)) return;
  if (batch !== null) replica.learnBatch(batch);
  if (slot.accepted !== null) {
    slot.accepted.proof ??= proof;
  } else {
    slot.accepted = { view, digest, proof, atMs: at.nowMs, accused: false };
    replica.trace("pre-prepare", sequence);
  }
  advance(replica, slot, at);
}

export function onPrepare(replica: Replica, signed: Signed<Prepare>, at: Instant): void {
  recordVote(replica, signed, replica.slot(signed.message.sequence).prepares);
  showProposal(replica, signed);
  advance(replica, replica.slot(signed.message.sequence), at);
}

/**
 * Another replica prepared something else here in this very view: one of us was lied to. It is shown this replica's proposal,
 * which its leader signed, and has the proof. Once for each replica and place.
 */
function showProposal(replica: Replica, { message, proof }: Signed<Prepare>): void {
  const { view, sequence, digest } = message;
  const { signer } = proof.seal;
  const slot = replica.slot(sequence);
  const { accepted } = slot;
  if (accepted === null || accepted.proof === null || accepted.view !== view || accepted.digest === digest) return;
  if (replica.self === null || signer === replica.self || slot.shown.has(signer)) return;
  slot.shown.add(signer);
  const batch = replica.batches.get(accepted.digest) ?? null;
  const proposal: PrePrepare = { kind: "pre-prepare", view, sequence, digest: accepted.digest, batch };
  replica.emit({ kind: "relay", to: signer, signed: { message: proposal, proof: accepted.proof } });
}

/** A proposal of a view that is over is of use only against its leader. */
export function onFormerProposal(replica: Replica, signed: Signed<PrePrepare>): void {
  const slot = replica.slots.get(signed.message.sequence);
  if (slot?.former != null && isOtherThanFormer(slot, signed.message)) reportConflict(replica, signed, slot.former);
}

export function onCommit(replica: Replica, signed: Signed<Commit>, at: Instant): void {
  const slot = replica.slot(signed.message.sequence);
  recordVote(replica, signed, slot.commits);
  const { view, digest } = signed.message;
  if (slot.committed === null) {
    slot.committed = slot.commitCertificate(replica.set, view, digest);
    if (slot.committed !== null) onCommitted(replica, slot, at);
  }
  maybeFinalize(replica);
}

/** Goes as far as what is known of a slot allows: prepare, prepared, commit. */
export function advance(replica: Replica, slot: Slot, at: Instant): void {
  const { accepted } = slot;
  if (accepted === null || accepted.view !== replica.view || !replica.active) return;
  if (!isHeld(replica, accepted.digest)) {
    fetchMissing(replica, accepted.digest, [replica.leader]);
    return;
  }
  if (!slot.prepareSaid) sayPrepare(replica, slot);
  if (!slot.commitSaid) maybeCommit(replica, slot);
  if (slot.committed !== null) maybeFinalize(replica);
  if (replica.leads) maybePropose(replica, at);
}

/** After bodies or proposals arrived: every slot that waited for them goes on. */
export function advanceAll(replica: Replica, at: Instant): void {
  for (const slot of replica.sortedSlots()) advance(replica, slot, at);
  maybeFinalize(replica);
  maybePropose(replica, at);
}

/** Hands committed places over for execution: in sequence, each with every body held. */
export function maybeFinalize(replica: Replica): void {
  for (;;) {
    const sequence = (replica.finalizing + 1) as Sequence;
    const slot = replica.slots.get(sequence);
    if (slot === undefined || slot.committed === null) return;
    const { digest } = slot.committed;
    if (!isHeld(replica, digest)) {
      const holders = slot.committed.proofs.map((proof) => proof.seal.signer);
      fetchMissing(replica, digest, holders);
      return;
    }
    const batch = present(replica.batches.get(digest), "a held batch");
    replica.finalizing = sequence;
    const committed: CommittedSlot = { sequence, batch, certificate: slot.committed };
    replica.emit({ kind: "finalize", slot: committed });
  }
}

function sayPrepare(replica: Replica, slot: Slot): void {
  const accepted = present(slot.accepted, "an accepted proposal");
  const { view, digest, proof } = accepted;
  slot.prepareSaid = true;
  // §4.2: the leader's pre-prepare is its prepare; it was persisted before it left.
  if (replica.leads) return;
  const batch = replica.batches.get(digest) ?? null;
  replica.emit({ kind: "persist", writes: [writeAccepted(slot.sequence, { view, digest, batch, proof })] });
  replica.say({ kind: "prepare", view, sequence: slot.sequence, digest });
  replica.trace("prepare", slot.sequence);
}

function maybeCommit(replica: Replica, slot: Slot): void {
  const certificate = slot.preparedCertificate(replica.set);
  if (certificate === null) return;
  assert(replica.active && certificate.view === replica.view, "a commit only in the active view");
  slot.prepared = certificate;
  slot.commitSaid = true;
  const { view, sequence, digest } = certificate;
  replica.trace("prepared", sequence);
  replica.emit({
    kind: "persist",
    writes: [writePrepared({ certificate, batch: replica.batches.get(digest) ?? null })],
  });
  replica.say({ kind: "commit", view, sequence, digest });
  replica.trace("commit", sequence);
}

function onCommitted(replica: Replica, slot: Slot, at: Instant): void {
  if (slot.accepted !== null) replica.timeout.onMeasured(at.nowMs - slot.accepted.atMs);
  showStrayVotes(replica, slot);
  replica.trace("committed", slot.sequence);
}

/**
 * Somebody voted otherwise than the quorum of its view: its leader told it something else, or it tells everybody something
 * else. The others are shown its vote: who holds another one of its has the proof.
 */
function showStrayVotes(replica: Replica, slot: Slot): void {
  if (replica.self === null) return;
  const committed = present(slot.committed, "a committed place");
  const { sequence } = slot;
  for (const [kind, votes] of [
    ["prepare", slot.prepares],
    ["commit", slot.commits],
  ] as const) {
    for (const [signer, { view, digest, proof }] of votes) {
      if (view !== committed.view || digest === committed.digest || signer === replica.self) continue;
      const shown = replica.strayShown.get(signer) ?? 0;
      if (shown >= STRAY_VOTES_SHOWN_MAX) continue;
      replica.strayShown.set(signer, shown + 1);
      for (const to of replica.set.indices()) {
        if (to === replica.self || to === signer) continue;
        replica.emit({ kind: "relay", to, signed: { message: { kind, view, sequence, digest }, proof } });
      }
    }
  }
}

/** Content and every body. */
function isHeld(replica: Replica, digest: Hash): boolean {
  const batch = replica.batches.get(digest);
  return batch?.bundles.every((bundle) => replica.lanes.has(bundle)) ?? false;
}

function fetchMissing(replica: Replica, digest: Hash, from: readonly ValidatorIndex[]): void {
  const batch = replica.batches.get(digest);
  if (batch === undefined) {
    replica.emit({ kind: "fetch-batches", digests: [digest], from });
    return;
  }
  const missing = batch.bundles.filter((bundle) => !replica.lanes.has(bundle)).slice(0, FETCH_DIGESTS_MAX);
  replica.emit({ kind: "fetch-bundles", digests: missing, from });
}

/** A proposal of the leader's own choice: its content is there, is what the digest says, and its time is near ours. */
function isFresh(replica: Replica, message: PrePrepare, at: Instant): boolean {
  const { batch, sequence, digest } = message;
  if (batch === null || batchDigest(batch) !== digest) {
    replica.trace("discard", sequence, "a proposal without its content");
    return replica.batches.has(digest);
  }
  if (Math.abs(batch.timestampMs - at.wallMs) > CLOCK_SKEW_MS_MAX) {
    replica.trace("discard", sequence, `a proposal ${batch.timestampMs - at.wallMs} ms away from this node's clock`);
    return false;
  }
  return true;
}

/** Keeps a validator's newest vote; two of one view that differ are evidence, and the first one stands. */
function recordVote(replica: Replica, signed: Signed<Prepare | Commit>, votes: Map<ValidatorIndex, Vote>): void {
  const { message, proof } = signed;
  const known = votes.get(proof.seal.signer);
  if (known !== undefined && known.view > message.view) return;
  if (known !== undefined && known.view === message.view) {
    if (known.digest !== message.digest) reportConflict(replica, signed, known);
    return;
  }
  votes.set(proof.seal.signer, { view: message.view, digest: message.digest, proof, accused: false });
}

function reportConflict(
  replica: Replica,
  second: Signed<PrePrepare | Prepare | Commit>,
  first: { readonly digest: Hash; readonly proof: Proof | null; accused: boolean },
): void {
  if (first.proof === null || first.accused) return;
  first.accused = true;
  const statement = statementOf(second.message);
  replica.emit({
    kind: "evidence",
    equivocation: {
      first: { statement: { ...statement, digest: first.digest }, proof: first.proof },
      second: { statement, proof: second.proof },
    },
  });
}

/** The batches of every open place, in order. */
function openBatches(replica: Replica): readonly Batch[] {
  const open: Batch[] = [];
  for (let sequence = (replica.executed + 1) as Sequence; sequence < replica.nextSequence; sequence++) {
    const slot = replica.slots.get(sequence);
    const digest =
      slot?.committed?.digest ?? slot?.proposed ?? slot?.accepted?.digest ?? replica.assigned.get(sequence);
    const batch = digest === undefined ? undefined : replica.batches.get(digest);
    if (batch !== undefined) open.push(batch);
  }
  return open;
}
