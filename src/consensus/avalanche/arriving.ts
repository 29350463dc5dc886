import type { Hash } from "../../lib/hash.ts";
import { CERTIFICATES_MAX } from "../dag-certificate.ts";
import type { DagArrival, DagCertificate, DagOpen, DagRestored } from "../dag-engine.ts";
import type { BundleNode } from "./bundle-node.ts";
import { idOf } from "./conflict-set.ts";
import { maybeFinal, rejectPlace, rejectVertex } from "./deciding.ts";
import { type OwnVotes, ownRow, type RestoredRows } from "./durable.ts";
import type { Participant } from "./participant.ts";
import { joinSets } from "./preferring.ts";
import { acceptsShown } from "./remembering.ts";
import { applyLoss, applyResolution, loseToLog } from "./resolving.ts";
import { hold, onVotes } from "./voting.ts";

/** Bundles that are held, and those that waited for them. */
export function onBundles(p: Participant, arrivals: readonly DagArrival[]): void {
  const waiting = [...arrivals];
  for (let arrival = waiting.shift(); arrival !== undefined; arrival = waiting.shift()) {
    const { ref } = arrival.held;
    p.missing.onArrived(ref.digest);
    const support = Math.max(p.early.supportOf(ref.digest), p.spokenOf.supportOf(ref.digest, p.quorum));
    const insertion = p.graph.insert(arrival, p.nowMs, support);
    if (insertion.kind === "node") {
      for (const vertex of arrival.lost) insertion.node.reject(vertex);
      take(p, insertion.node, arrival.lost);
    } else if (insertion.kind === "dead") bury(p, arrival);
    const isHere = p.graph.nodes.has(ref.digest) || p.graph.past.get(ref.digest) !== undefined;
    if (isHere) waiting.push(...p.graph.orphans.take(ref.tip, p.graph.winners.added));
  }
}

/** A new bundle: what is known of it already falls into place. */
function take(p: Participant, node: BundleNode, lost: readonly number[]): void {
  if (lost.length > 0) p.outcomeOf(node).rejected.push(...lost);
  joinSets(p, node);
  loseToWinners(p, node);
  for (const vertex of [null, ...node.sets.keys()]) loseToLog(p, { node, vertex });
  for (const unit of p.lostLater.get(node.digest) ?? []) applyLoss(p, node, unit);
  p.lostLater.delete(node.digest);
  const resolution = p.resolvedLater.get(node.digest);
  p.resolvedLater.delete(node.digest);
  if (resolution !== undefined) applyResolution(p, node, resolution);
  for (const signed of p.early.take(node.digest)) onVotes(p, signed);
  maybeFinal(p, node);
}

/** It came too late: other members of its sets are final. */
function loseToWinners(p: Participant, node: BundleNode): void {
  const isLost = (vertex: number | null, own: Hash | undefined): boolean =>
    node.setsOf(vertex).some((id) => {
      const winner = p.graph.sets.get(id)?.winner ?? p.graph.winners.get(id) ?? null;
      return winner !== null && winner !== own;
    });
  if (isLost(null, node.digest)) rejectPlace(p, node);
  for (const vertex of node.sets.keys()) {
    if (node.isOpen(vertex) && isLost(vertex, node.held.vertexIds[vertex])) rejectVertex(p, node, vertex);
  }
}

/** It can never be accepted: a parent lost its place, or another bundle of its creator has its own. */
function bury(p: Participant, { held }: DagArrival): void {
  const { digest, tip, count } = held.ref;
  p.graph.past.add(digest, "rejected");
  p.graph.past.add(tip, "rejected");
  p.early.take(digest);
  p.buried.push({
    bundle: digest,
    place: "rejected",
    accepted: [],
    rejected: Array.from({ length: count }, (_, vertex) => vertex),
    isSettled: true,
    confidencePpm: 0,
    polls: 0,
  });
}

/** What was open when the process or the epoch ended, with what this node said of it in this epoch. */
export function restore(
  p: Participant,
  open: readonly DagOpen[],
  { own, kept }: Pick<RestoredRows, "own" | "kept">,
  won: DagRestored["won"] = [],
): void {
  p.kept.restore(kept);
  const nodes = open.map((bundle) => ({ node: p.graph.restore(bundle, p.nowMs), bundle }));
  for (const { node } of nodes) {
    joinSets(p, node);
    if (node.place === "accepted") restoreWinner(p, node, null);
    for (const vertex of node.accepted) restoreWinner(p, node, vertex);
  }
  for (const { node, bundle } of nodes) {
    holdCarried(p, node, bundle.certified);
    const votes = own.get(node.digest);
    if (votes === undefined) continue;
    remember(p, node, votes);
    if (node.isSettled) continue;
    if (votes.isCurrent) p.kept.need(node.digest, [...votes.accepts, ...votes.held.flatMap((each) => each.votes)]);
    else p.toCarry.add(node);
  }
  // A crash came between a decision and this.
  for (const digest of own.keys()) if (p.nodeOf(digest)?.isSettled !== false) p.forgetRow(ownRow(digest));
  for (const { set, winner } of won) p.graph.winners.add(set, winner);
  if (won.length > 0) for (const { node } of nodes) loseToWinners(p, node);
}

/** What was final has its sets: whatever else claims them comes too late, though their decisions are not in memory. */
function restoreWinner(p: Participant, node: BundleNode, vertex: number | null): void {
  const id = idOf({ node, vertex });
  for (const setId of node.setsOf(vertex)) {
    p.graph.winners.add(setId, id);
    const set = p.graph.sets.get(setId);
    if (set !== undefined) set.winner = id;
  }
}

function remember(p: Participant, node: BundleNode, { accept, commit, held, reported, accepts }: OwnVotes): void {
  const { nowMs } = p;
  for (const signed of accepts) {
    for (const { level, bundle, except } of signed.message.entries) {
      if (level === "accept" && bundle === node.digest) node.accepts.add(signed.proof.seal.signer, except, signed);
    }
  }
  if (accept !== null) {
    node.ownAccept = { except: new Set(accept), saidAtMs: nowMs, isUnsaid: true };
    lockAll(p, node, node.ownAccept.except);
    p.toSay.add(node);
  }
  // What it committed to, or carried over an epoch's end, it knew to be certified.
  holdCarried(p, node, held);
  if (commit !== null) {
    node.ownCommit = { except: new Set(commit), saidAtMs: nowMs, isUnsaid: true };
    hold(p, { node, vertex: null });
    for (const vertex of node.sets.keys()) {
      if (!node.ownCommit.except.has(vertex) && !node.rejected.has(vertex)) hold(p, { node, vertex });
    }
    p.toSay.add(node);
  }
  for (const unit of reported) {
    node.reported.set(unit, nowMs);
    for (const set of p.graph.setsOf({ node, vertex: vertexOf(unit) })) if (set.winner === null) set.isFrozen = true;
  }
}

function lockAll(p: Participant, node: BundleNode, except: ReadonlySet<number>): void {
  // What has lost since holds its sets no more, as in the process that saw it lose.
  const vertices = [...node.sets.keys()].filter((vertex) => !except.has(vertex) && !node.rejected.has(vertex));
  for (const vertex of [null, ...vertices]) {
    for (const set of p.graph.setsOf({ node, vertex })) if (set.winner === null) set.lock = { node, vertex };
  }
}

/** Units in rows and lists: 0 is the place, vertex + 1 a vertex. */
function vertexOf(unit: number): number | null {
  return unit === 0 ? null : unit - 1;
}

function holdCarried(p: Participant, node: BundleNode, certificates: readonly DagCertificate[]): void {
  const known = certificates.filter(
    ({ epoch }) => epoch < p.set.epoch && !node.carried.some((each) => each.epoch === epoch),
  );
  node.carried = [...node.carried, ...known].sort((left, right) => left.epoch - right.epoch);
  for (const { epoch, place, vertices } of known) {
    if (place && node.place === "open") hold(p, { node, vertex: null }, epoch);
    for (const vertex of vertices) if (node.isOpen(vertex)) hold(p, { node, vertex }, epoch);
  }
}

/**
 * What this node knows of a bundle to be certified, in this epoch and before; ascending by epoch. What merely a descendant's
 * voters imply is not told: it cannot be shown, nobody commits to it, and a word that nobody can back is not heard (`Gate`).
 */
export function certificatesOf(p: Participant, node: BundleNode): readonly DagCertificate[] {
  const { ownCommit } = node;
  // It commits also to what others told to be final: that it is final it says, of which votes of this epoch it cannot.
  const isShown = (vertex: number): boolean => !node.accepted.has(vertex) || node.accepts.count(vertex) >= p.quorum;
  const isKnown = (vertex: number): boolean =>
    node.certified.has(vertex) || (ownCommit !== null && !ownCommit.except.has(vertex) && isShown(vertex));
  const place = ownCommit !== null || (node.isCertified && node.accepts.size >= p.quorum);
  const vertices = Array.from({ length: node.count }, (_, vertex) => vertex).filter(isKnown);
  if (!place && vertices.length === 0) return node.carried.slice(-CERTIFICATES_MAX);
  const certificate = { epoch: p.set.epoch, place, vertices, votes: acceptsShown(p, node) };
  return [...node.carried, certificate].slice(-CERTIFICATES_MAX);
}
