import type { DagClaim, DagEvent } from "../dag-engine.ts";
import type { BundleNode } from "./bundle-node.ts";
import { idOf, type Member, sameMember } from "./conflict-set.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { maybeFinal, rejectPlace } from "./deciding.ts";
import { SYNC_MS } from "./limits.ts";
import type { Participant } from "./participant.ts";
import { sample } from "./sampler.ts";
import { advance, hold, isWitnessed, maybeAccept } from "./voting.ts";

/**
 * Catching up, and the passage from one epoch to the next: both ask validators, each over its own connection, what they know
 * above this node's frontier. What f + 1 validators know to be final is final: one of them is correct.
 *
 * Invariant: in an epoch after the first this node votes only when q validators of the epoch before, each after it had left
 * that epoch, have told what they know to be certified. Any two quorums share a correct validator, so whatever was or could
 * still become final there is among it, and is all that this node accepts of its sets (docs/decisions/0006, 6).
 */

export function onClaims(p: Participant, event: Extract<DagEvent, { readonly kind: "dag-claims" }>): void {
  const { from, epoch, claims, isLast } = event;
  const isOfThisEpoch = epoch >= p.set.epoch;
  for (const claim of claims) {
    const node = p.nodeOf(claim.bundle);
    if (node === undefined || !isWellFormed(node, claim)) continue;
    takeClaim(p, node, from, claim);
    if (isOfThisEpoch && !p.mayVote && p.previous?.has(from) === true) holdClaimed(p, node, from, claim);
  }
  if (!isLast) return;
  p.syncing.delete(from);
  p.wantsSync.delete(from);
  if (!isOfThisEpoch) return void p.wantsSync.add(from);
  if (p.previous?.has(from) === true) p.heardOut.add(from);
  maybePass(p);
}

function isWellFormed(node: BundleNode, { undecided, rejected }: DagClaim): boolean {
  return [undecided, rejected].every((list) =>
    list.every((vertex, at) => vertex < node.count && vertex > (list[at - 1] ?? -1)),
  );
}

function takeClaim(p: Participant, node: BundleNode, from: ValidatorIndex, claim: DagClaim): void {
  // Who is no validator any more may be anybody's: of f + 1 of those none need be correct.
  if (node.isSettled || !p.set.has(from)) return;
  if (claim.state === "accepted") {
    node.claims.set(from, { undecided: claim.undecided, rejected: claim.rejected });
    maybeFinal(p, node);
  } else if (claim.state === "rejected" && node.place === "open") {
    node.denials.add(from);
    if (node.denials.size >= p.set.honestMinority) rejectPlace(p, node);
  }
}

/**
 * What one validator of the epoch before says that it knows to be certified or final, this node accepts alone of its sets.
 * Where two claims contradict each other one of them lies: nothing of the set is voted on until f + 1 validators say the same
 * (whoever certified what is final is so many), or until the log decides. What this node has seen certified itself is never
 * given up for what others say: they may mean an older certificate, and be f liars and one who heard of no newer one.
 */
function holdClaimed(p: Participant, node: BundleNode, from: ValidatorIndex, claim: DagClaim): void {
  if (claim.state !== "certified" && claim.state !== "accepted") return;
  holdOne(p, { node, vertex: null }, from);
  for (const vertex of node.open()) {
    if (!claim.undecided.includes(vertex) && !claim.rejected.includes(vertex)) holdOne(p, { node, vertex }, from);
  }
}

function holdOne(p: Participant, member: Member, from: ValidatorIndex): void {
  const id = idOf(member);
  const claimers = p.claimedCertified.get(id) ?? new Set<ValidatorIndex>();
  claimers.add(from);
  p.claimedCertified.set(id, claimers);
  const minority = p.previous?.honestMinority ?? p.set.honestMinority;
  for (const set of p.graph.setsOf(member)) {
    if (set.winner !== null || sameMember(set.certified, member)) continue;
    if (set.certified === null) hold(p, member);
    else if (claimers.size < minority || isWitnessed(set.certified)) set.isDisputed = true;
    else {
      hold(p, member);
      set.isDisputed = false;
    }
  }
}

/** Enough of the epoch before have been heard: from now on this node votes. */
function maybePass(p: Participant): void {
  if (p.mayVote || p.previous === null) return;
  const heard = p.heardOut.size + (p.isOwnWitness ? 1 : 0);
  if (heard < p.previous.quorum) return;
  p.mayVote = true;
  p.claimedCertified.clear();
  p.trace("accept", `votes in epoch ${p.set.epoch}: ${heard} validators of the one before were heard`);
  for (const node of [...p.graph.open()]) {
    advance(p, node);
    maybeAccept(p, node, "sampled");
  }
}

/** Whom to ask now, and when again. */
export function sync(p: Participant): void {
  if (p.nowMs >= p.nextSyncMs) {
    p.nextSyncMs = p.nowMs + SYNC_MS;
    for (const peer of wanted(p)) p.wantsSync.add(peer);
  }
  for (const peer of [...p.wantsSync].sort((left, right) => left - right)) {
    if (p.syncing.has(peer)) continue;
    p.syncing.add(peer);
    p.wantsSync.delete(peer);
    p.emit({ kind: "dag-sync", from: peer });
  }
}

/** Who listens only asks f + 1; who may not vote yet asks all; who has waited for a decision too long asks one more. */
function wanted(p: Participant): readonly ValidatorIndex[] {
  const others = p.others();
  if (!p.mayVote) {
    // Also who left: it may be one of the quorum that must be heard.
    const left = (p.previous?.indices() ?? []).filter((peer) => peer !== p.self && !p.set.has(peer));
    return [...others, ...left].filter((peer) => !p.heardOut.has(peer));
  }
  if (p.self === null) return sample(others, p.set.honestMinority, p.random);
  for (const node of p.graph.open()) {
    if (p.nowMs - node.sinceMs >= p.params.patienceMs) return sample(others, 1, p.random);
  }
  return [];
}

export function onSyncFailed(p: Participant, from: ValidatorIndex): void {
  p.syncing.delete(from);
}
