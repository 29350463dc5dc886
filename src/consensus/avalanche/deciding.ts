import { assert } from "../../lib/assert.ts";
import type { BundleNode, Parent } from "./bundle-node.ts";
import { idOf, type Member, sameMember } from "./conflict-set.ts";
import { refreshSet, setPreference } from "./preferring.ts";
import type { Participant } from "./participant.ts";
import { forgetOwn } from "./remembering.ts";

/**
 * What is final. A bundle takes its place when a quorum committed to it and its parents have taken theirs; a vertex when a
 * quorum committed to it and its bundle has its place. Everything else that its conflict sets hold has then lost.
 *
 * Invariant: of two conflicting units at most one is ever accepted by correct validators (docs/decisions/0006, 1 to 6).
 */

/** Looks whether anything of a bundle has become final, and goes on to its descendants. Iterative: a lane may be long. */
export function maybeFinal(p: Participant, first: BundleNode): void {
  // Every vote asks this, and nearly all are answered here.
  if (first.isSettled || (first.place === "open" && !isFinalPlace(p, first))) return;
  const waiting: BundleNode[] = [first];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node.place === "open" && isFinalPlace(p, node) && hasPlace(node.previous) && hasPlace(node.second)) {
      acceptPlace(p, node);
      waiting.push(...node.children);
    }
    if (node.place === "accepted") finalVertices(p, node);
  }
}

function hasPlace(parent: Parent): boolean {
  return parent === "past" || parent.place === "accepted";
}

function isFinalPlace(p: Participant, node: BundleNode): boolean {
  return node.commits.size >= p.quorum || node.resolved.has(0) || claimers(p, node, null) >= p.set.honestMinority;
}

function finalVertices(p: Participant, node: BundleNode): void {
  if (node.openVertices === 0) return;
  const isAll = node.commits.full >= p.quorum;
  const isClaimed = node.claims.size >= p.set.honestMinority;
  if (!isAll && node.commits.size < p.quorum && !isClaimed && node.resolved.size === 0) return;
  for (const vertex of [...node.open()]) {
    // What an accepted one took with it may be another vertex of the same bundle.
    if (!node.isOpen(vertex)) continue;
    const isFinal = isAll || node.commits.count(vertex) >= p.quorum || node.resolved.has(vertex + 1);
    if (isFinal) acceptVertex(p, node, vertex);
    else if (isClaimed && claimers(p, node, vertex) >= p.set.honestMinority) acceptVertex(p, node, vertex);
    else if (isClaimed && deniers(node, vertex) >= p.set.honestMinority) rejectVertex(p, node, vertex);
  }
}

/** Validators that told this node, each over its own connection, that this is final: of f + 1 one is correct. */
function claimers(p: Participant, node: BundleNode, vertex: number | null): number {
  if (node.claims.size === 0) return 0;
  let count = 0;
  for (const [from, { undecided, rejected }] of node.claims) {
    if (!p.set.has(from)) continue;
    if (vertex === null || (!undecided.includes(vertex) && !rejected.includes(vertex))) count += 1;
  }
  return count;
}

function deniers(node: BundleNode, vertex: number): number {
  let count = 0;
  for (const { rejected } of node.claims.values()) if (rejected.includes(vertex)) count += 1;
  return count;
}

export function acceptPlace(p: Participant, node: BundleNode): void {
  assert(node.place !== "rejected", `bundle ${node.digest} lost its place before`);
  if (node.place === "accepted") return;
  assert(hasPlace(node.previous) && hasPlace(node.second), "ancestors before descendants");
  node.place = "accepted";
  p.placeOutcome(node);
  p.graph.onPlaceAccepted(node);
  p.trace("final", `${node.digest}`);
  win(p, { node, vertex: null });
  maybeSettle(p, node);
}

export function acceptVertex(p: Participant, node: BundleNode, vertex: number): void {
  assert(!node.rejected.has(vertex), `vertex ${vertex} of bundle ${node.digest} was rejected before`);
  if (node.accepted.has(vertex)) return;
  node.accepted.add(vertex);
  p.outcomeOf(node).accepted.push(vertex);
  win(p, { node, vertex });
  maybeSettle(p, node);
}

/** A member wins its sets: all others lose. */
function win(p: Participant, winner: Member): void {
  const id = idOf(winner);
  for (const setId of winner.node.setsOf(winner.vertex)) {
    const set = p.graph.setOf(setId);
    assert(set.winner === null || set.winner === id, `conflict set ${setId} has one winner`);
    set.winner = id;
    set.isFrozen = false;
    p.graph.winners.add(setId, id);
    for (const member of [...set.members]) {
      if (sameMember(member, winner)) continue;
      if (member.vertex === null) rejectPlace(p, member.node);
      else rejectVertex(p, member.node, member.vertex);
    }
    setPreference(p, set, winner);
  }
}

export function rejectVertex(p: Participant, node: BundleNode, vertex: number): void {
  if (node.rejected.has(vertex) || node.place === "rejected") return;
  assert(!node.accepted.has(vertex), `vertex ${vertex} of bundle ${node.digest} is final`);
  assert(
    node.commits.count(vertex) < p.quorum,
    `a quorum committed to vertex ${vertex} of ${node.digest}, which loses`,
  );
  node.reject(vertex);
  p.outcomeOf(node).rejected.push(vertex);
  leaveSets(p, { node, vertex });
  maybeSettle(p, node);
}

/** A branch that lost its place dies with all that builds on it (arXiv 1906.08936, §3: a child of a rejected vertex is rejected). */
export function rejectPlace(p: Participant, first: BundleNode): void {
  const dying: BundleNode[] = [first];
  for (let node = dying.pop(); node !== undefined; node = dying.pop()) {
    if (node.place === "rejected") continue;
    assert(node.place === "open", `bundle ${node.digest} has its place`);
    assert(node.commits.size < p.quorum, `a quorum committed to bundle ${node.digest}, which loses`);
    const outcome = p.outcomeOf(node);
    for (const vertex of [...node.open()]) {
      node.reject(vertex);
      outcome.rejected.push(vertex);
      leaveSets(p, { node, vertex });
    }
    node.place = "rejected";
    node.isStrong = false;
    outcome.place = "rejected";
    leaveSets(p, { node, vertex: null });
    dying.push(...node.children);
    maybeSettle(p, node);
  }
}

function leaveSets(p: Participant, member: Member): void {
  for (const id of member.node.setsOf(member.vertex)) {
    const set = p.graph.sets.get(id);
    if (set === undefined) continue;
    const before = set.preferred;
    set.remove(member);
    if (set.members.length === 0 && set.winner === null && set.givenTo === null) p.graph.sets.delete(id);
    else if (member.vertex === null && !sameMember(before, set.preferred)) refreshSet(p, set, before);
  }
}

function maybeSettle(p: Participant, node: BundleNode): void {
  if (!node.isSettled || node.settledAtMs !== null) return;
  node.settledAtMs = p.nowMs;
  forgetOwn(p, node);
  for (const old of p.graph.settle(node)) p.graph.forget(old);
}
