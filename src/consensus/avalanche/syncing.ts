import type { Hash } from "../../lib/hash.ts";
import type { Epoch, ValidatorIndex } from "../../membership/ids.ts";
import type { DagCertificate, DagClaim, DagEvent } from "../dag-engine.ts";
import type { BundleNode } from "./bundle-node.ts";
import { type Member, sameMember } from "./conflict-set.ts";
import { maybeFinal, rejectPlace } from "./deciding.ts";
import type { Inherited, Testimony } from "./gate.ts";
import { CERTIFICATES_SYNC_MS, SYNC_MS } from "./limits.ts";
import type { Participant } from "./participant.ts";
import { proofsOf, withoutRest } from "./proofs.ts";
import { sample } from "./sampler.ts";
import { advance, hold, isCertifiedBy, maybeAccept } from "./voting.ts";

/**
 * Catching up, and the passage from one epoch to the next: both ask validators, each over its own connection, what they know
 * above this node's frontier. What f + 1 validators know to be final is final: one of them is correct. What a passage needs,
 * and why it is enough, is said at `Gate`.
 */

export function onClaims(p: Participant, event: Extract<DagEvent, { readonly kind: "dag-claims" }>): void {
  const { from, claims } = event;
  const isWitness = !p.mayVote && event.epoch >= p.set.epoch;
  // Of a word whose first pages were said before its witness had left the epoch, the last page alone is none.
  if (!isWitness && !p.mayVote && !event.isLast) p.unfinished.add(from);
  for (const claim of claims) {
    const node = p.nodeOf(claim.bundle);
    if (node === undefined) {
      // What is not here is not remembered: its witness is asked again when it has come.
      if (isWitness && isTestimony(claim) && p.graph.past.get(claim.bundle) === undefined) wait(p, from, claim);
      continue;
    }
    if (!isWellFormed(node, claim)) continue;
    if (isWitness) testify(p, node, from, claim);
    takeClaim(p, node, from, claim);
    takeNewer(p, node, claim);
  }
  if (!event.isLast) return;
  p.syncing.delete(from);
  p.wantsSync.delete(from);
  const told = p.testimonies.get(from) ?? [];
  const isWhole = !p.unfinished.delete(from);
  p.testimonies.delete(from);
  if (!isWitness || !isWhole) return;
  p.gate?.hear(from, event.passed, told);
  maybePass(p);
}

function wait(p: Participant, from: ValidatorIndex, { bundle, certified }: DagClaim): void {
  p.unfinished.add(from);
  const isProven = certified?.some(({ epoch, votes }) => {
    const set = p.earlier.find((each) => each.epoch === epoch);
    return proofsOf(set, bundle, votes)(null);
  });
  p.spokenOf.add(bundle, from, isProven ?? false);
}

function isTestimony({ state, certified }: DagClaim): boolean {
  return state === "accepted" || (certified !== undefined && certified.length > 0);
}

function isWellFormed(node: BundleNode, { undecided, rejected, certified }: DagClaim): boolean {
  const lists = [undecided, rejected, ...(certified ?? []).map(({ vertices }) => vertices)];
  return lists.every((list) => list.every((vertex, at) => vertex < node.count && vertex > (list[at - 1] ?? -1)));
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

/** What one validator says that is final, or was certified in earlier epochs, of a bundle of which something is open here. */
function testify(p: Participant, node: BundleNode, from: ValidatorIndex, claim: DagClaim): void {
  const told = p.testimonies.get(from) ?? [];
  told.push(...finalOf(node, claim));
  const earlier = (claim.certified ?? []).filter(({ epoch }) => epoch < p.set.epoch);
  for (const certificate of earlier) told.push(...testimoniesOf(p, node, certificate));
  // Who is not heard is asked again every second: of its words the newest counts.
  p.shown.set(node, (p.shown.get(node) ?? new Map()).set(from, earlier));
  p.testimonies.set(from, told);
}

/** Who settled it and crashed has neither votes nor a row of it any more, and may be the only one that tells. */
function finalOf(node: BundleNode, { state, undecided, rejected }: DagClaim): readonly Testimony[] {
  if (state !== "accepted") return [];
  const left = new Set([...undecided, ...rejected]);
  const units: (number | null)[] = [...node.open()].filter((vertex) => !left.has(vertex));
  if (node.place === "open") units.unshift(null);
  return units.map((vertex) => ({ member: { node, vertex }, epoch: null, isProven: false }));
}

/**
 * Who votes already may hold an older certificate than others do, whose newer one was not final and so need not have been heard
 * at the passage: neither side could report what the other holds, and the log would never have a quorum's word. So a newer
 * one counts also later, with its votes only. No rival of what became final has one (`Gate`), so nothing final is given up.
 */
function takeNewer(p: Participant, node: BundleNode, { certified = [] }: DagClaim): void {
  if (p.self === null || !p.mayVote || node.isSettled) return;
  for (const certificate of certified) {
    const { epoch } = certificate;
    if (epoch >= p.set.epoch) continue;
    const newer = membersOf(node, certificate).filter((member) => isNewer(p, member, epoch));
    if (newer.length === 0) continue;
    const isProven = proofs(p, node, certificate);
    const proven = newer.filter(({ vertex }) => isProven(vertex));
    if (proven.length === 0) continue;
    inherit(p, node, { epoch, units: unitsOf(proven), shown: [certificate] });
    for (const member of proven) hold(p, member, epoch);
  }
}

/** Of two of one epoch neither is newer: one of them lost in the log, and this node does not know which. */
function isNewer(p: Participant, member: Member, epoch: Epoch): boolean {
  const open = p.graph.setsOf(member).filter(({ winner, isResolved }) => winner === null && !isResolved);
  const isTwice = open.some(({ certified, certifiedIn }) => certifiedIn === epoch && !sameMember(certified, member));
  return !isTwice && open.some(({ certifiedIn }) => certifiedIn < epoch);
}

export function testimoniesOf(p: Participant, node: BundleNode, certificate: DagCertificate): readonly Testimony[] {
  const { epoch } = certificate;
  const isProven = proofs(p, node, certificate);
  return membersOf(node, certificate).map((member) => ({ member, epoch, isProven: isProven(member.vertex) }));
}

/** Of what a certificate names, the units that are open here. */
function membersOf(node: BundleNode, { place, vertices }: DagCertificate): readonly Member[] {
  const units: (number | null)[] = vertices.filter((vertex) => node.isOpen(vertex));
  if (place && node.place === "open") units.unshift(null);
  return units.map((vertex) => ({ node, vertex }));
}

/** Of which units the votes that came with a certificate are a quorum's of its epoch. */
function proofs(p: Participant, node: BundleNode, { epoch, votes }: Pick<DagCertificate, "epoch" | "votes">): Proofs {
  const set = p.earlier.find((each) => each.epoch === epoch);
  return proofsOf(set, node.digest, votes);
}

type Proofs = ReturnType<typeof proofsOf>;

/** Enough of the epochs before have been heard: from now on this node votes. */
export function maybePass(p: Participant): void {
  if (p.mayVote) return;
  const inherited = p.gate?.inheritance() ?? null;
  if (inherited === null) return;
  inheritAll(p, inherited);
  for (const { member, epoch } of inherited) hold(p, member, epoch);
  p.pass();
  p.trace("accept", `votes in epoch ${p.set.epoch}, with ${inherited.length} certificates of those before`);
  for (const node of [...p.graph.open()]) {
    advance(p, node);
    maybeAccept(p, node, "sampled");
  }
}

function inheritAll(p: Participant, inherited: readonly Inherited[]): void {
  const byNode = Map.groupBy(inherited, ({ member }) => member.node);
  for (const [node, ofNode] of byNode) {
    const shown = [...(p.shown.get(node)?.values() ?? [])].flat();
    for (const [epoch, some] of Map.groupBy(ofNode, (each) => each.epoch)) {
      const units = unitsOf(some.map(({ member }) => member));
      inherit(p, node, { epoch, units, shown: shown.filter((each) => each.epoch === epoch) });
    }
  }
}

interface Learned {
  readonly epoch: Epoch;
  readonly units: readonly (number | null)[];
  /** Certificates of that epoch. */
  readonly shown: readonly DagCertificate[];
}

/** What it learned so, it can tell in its turn, and show as well as whoever showed it. */
function inherit(p: Participant, node: BundleNode, { epoch, units, shown }: Learned): void {
  const known = node.carried.find((certificate) => certificate.epoch === epoch);
  const isNew = known === undefined || units.some((vertex) => !isCertifiedBy(known, vertex));
  const isShown = units.every(proofs(p, node, { epoch, votes: known?.votes ?? [] }));
  if (!isNew && (isShown || shown.length === 0)) return;
  const vertices = new Set(known?.vertices ?? []);
  for (const vertex of units) if (vertex !== null) vertices.add(vertex);
  const certificate: DagCertificate = {
    epoch,
    place: (known?.place ?? false) || units.includes(null),
    vertices: [...vertices].sort((left, right) => left - right),
    votes: known !== undefined && isShown ? known.votes : votesOf(p, node, { epoch, units, shown }, known?.votes ?? []),
  };
  node.carried = [...node.carried.filter((each) => each !== known), certificate].sort(
    (left, right) => left.epoch - right.epoch,
  );
  p.toCarry.add(node);
}

/** Those of the first that proves all of it, beside what is known; where none does, what they show together. */
function votesOf(
  p: Participant,
  node: BundleNode,
  { units, shown }: Learned,
  known: DagCertificate["votes"],
): DagCertificate["votes"] {
  const whole = shown.find((each) => units.every(proofs(p, node, each)));
  const votes = whole === undefined ? shown.flatMap((each) => each.votes) : whole.votes;
  return withoutRest(node.digest, [...known, ...votes]);
}

function unitsOf(members: readonly Member[]): readonly (number | null)[] {
  return members.map(({ vertex }) => vertex);
}

/** Whom to ask now, and when again. */
export function sync(p: Participant): void {
  // What a witness said may be final here by now, or certified, and so its word counts.
  maybePass(p);
  if (p.nowMs >= p.nextSyncMs) {
    p.nextSyncMs = p.nowMs + SYNC_MS;
    for (const peer of wanted(p)) p.wantsSync.add(peer);
  }
  for (const peer of [...p.wantsSync].sort((left, right) => left - right)) {
    if (p.syncing.has(peer)) continue;
    p.syncing.add(peer);
    p.wantsSync.delete(peer);
    p.emit({ kind: "dag-sync", from: peer, isForEpoch: !p.mayVote || asksForCertificates(p) });
  }
}

/** Who listens only asks f + 1; who may not vote yet asks all; who has waited for a decision too long asks one more. */
function wanted(p: Participant): readonly ValidatorIndex[] {
  const others = p.others();
  // Also who left: it may be one of a quorum that must be heard.
  const unheard = p.mayVote ? [] : (p.gate?.wanted() ?? []).filter((peer) => peer !== p.self);
  // Nobody sends votes to who only listens: also behind an epoch's end it learns what is final by asking alone.
  if (p.self === null) return [...unheard, ...sample(others, p.set.honestMinority, p.random)];
  if (!p.mayVote) return unheard;
  for (const node of p.graph.open()) {
    if (p.nowMs - node.sinceMs >= p.params.patienceMs) return sample(others, 1, p.random);
  }
  return [];
}

/** The answer holds the votes of all that is open: a network that is merely slow must not pay for it every second. */
function asksForCertificates(p: Participant): boolean {
  if (p.self === null || p.earlier.length === 0 || p.nowMs < p.nextCertificatesMs || !isHeldUp(p)) return false;
  p.nextCertificatesMs = p.nowMs + CERTIFICATES_SYNC_MS;
  return true;
}

/** Whether a conflict about what an earlier epoch certified is open for too long: others may hold a newer certificate of a rival. */
function isHeldUp(p: Participant): boolean {
  const isContested = (id: Hash): boolean => {
    const set = p.graph.sets.get(id);
    return set !== undefined && set.winner === null && set.isContested;
  };
  for (const node of p.graph.open()) {
    if (node.carried.length === 0 || p.nowMs - node.sinceMs < p.params.patienceMs) continue;
    if ([null, ...node.sets.keys()].some((vertex) => node.setsOf(vertex).some(isContested))) return true;
  }
  return false;
}

export function onSyncFailed(p: Participant, from: ValidatorIndex): void {
  p.syncing.delete(from);
  p.testimonies.delete(from);
  p.unfinished.delete(from);
}
