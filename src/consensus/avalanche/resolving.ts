import type { Unit } from "../dag-engine.ts";
import type { DagEvent, Resolution } from "../dag-engine.ts";
import type { Hash } from "../../lib/hash.ts";
import type { BundleNode } from "./bundle-node.ts";
import { type ConflictSet, idOf, type Member, sameMember } from "./conflict-set.ts";
import { maybeFinal, rejectPlace, rejectVertex } from "./deciding.ts";
import type { Participant } from "./participant.ts";
import { setPreference } from "./preferring.ts";
import { rememberOwn } from "./remembering.ts";

/**
 * What sampling leaves open goes to the ordered log (correction 17b; Frosty's idea, with the log that is there anyway).
 *
 * Invariant: who reports a subject votes for no member of its sets any more until the log has decided, and carries the
 * certificate that it holds for the subject or a member that conflicts with it (docs/decisions/0006, 3 and 4).
 */

/** Conflicts that one tick reports: each is a command of several kilobytes. */
const REPORTS_PER_TICK = 16;

/** After so long without a decision a report is said again, in milliseconds. */
const REPORT_AGAIN_MS = 15_000;

/** Subjects of others' reports that wait here: a few of each of the largest set's validators. */
const REPORTED_ELSEWHERE_MAX = 4_096;

/**
 * Reports conflicts that are open for longer than sampling and patience may take, and, at once, those in which sampling stands
 * still: where all validators are asked and no member has a quorum, no poll will ever move a preference.
 */
export function reportOpen(p: Participant): void {
  if (p.self === null || !p.mayVote || p.health.isPartitioned) return;
  let reports = 0;
  const looked = new Set<ConflictSet>();
  for (const node of [...p.graph.open()]) {
    const isOld = p.nowMs - node.sinceMs >= p.params.resolveAfterMs;
    for (const member of openMembers(node)) {
      if (reports >= REPORTS_PER_TICK) return;
      const set = p.graph.setsOf(member).find((each) => isUndecided(each) && (isOld || isStill(p, each, looked)));
      const subject = set?.pinned ?? set?.preferred ?? null;
      if (subject !== null && report(p, subject)) reports += 1;
    }
  }
}

/** Polls without any success for any member, in units of beta, after which a set stands still. */
const STILL_BETAS = 2;

/** `looked` keeps a tick from looking through a large set once for each of its members. */
function isStill(p: Participant, set: ConflictSet, looked: Set<ConflictSet>): boolean {
  const { members, isContested, certified } = set;
  if (looked.has(set)) return false;
  looked.add(set);
  const polls = STILL_BETAS * p.params.beta;
  return isContested && certified === null && members.every(({ node, vertex }) => node.snowOf(vertex).idle >= polls);
}

/** What nobody contests any more may still be frozen here by a report about a rival that lost elsewhere: the log thaws it. */
function isUndecided({ isContested, isFrozen, isResolved, winner }: ConflictSet): boolean {
  return winner === null && (isContested || (isFrozen && !isResolved));
}

function* openMembers(node: BundleNode): Generator<Member> {
  if (node.place === "open") yield { node, vertex: null };
  for (const vertex of node.sets.keys()) if (node.isOpen(vertex)) yield { node, vertex };
}

/**
 * Answers whether it was reported now. A report that came to nothing is said again: a full lane may have dropped it, or
 * others of the same validator have pushed it out of the log's list.
 */
function report(p: Participant, subject: Member): boolean {
  const { node, vertex } = subject;
  const saidAtMs = node.reported.get(codeOf(vertex));
  if (saidAtMs !== undefined && p.nowMs - saidAtMs < REPORT_AGAIN_MS) return false;
  const certified = certificateFor(p, subject);
  if (certified === "unprovable") return false;
  node.reported.set(codeOf(vertex), p.nowMs);
  for (const set of p.graph.setsOf(subject)) if (set.winner === null) set.isFrozen = true;
  const writes = rememberOwn(p, node);
  if (writes.length > 0) p.emit({ kind: "persist", writes });
  p.emit({
    kind: "report",
    subject: unitOf(subject),
    certified:
      certified === null
        ? null
        : { unit: unitOf(certified), votes: certified.node.accepts.proofs(certified.vertex).slice(0, p.quorum) },
  });
  p.trace("resolve", `reported ${node.digest} ${vertex ?? "place"}`);
  return true;
}

/**
 * The member whose certificate belongs into a report about this subject; null for none. Unprovable: this node knows of one
 * that conflicts and cannot show its votes (it was certified in the epoch before, or final when this node asked): its word
 * for the subject could give a final unit's sets away.
 */
function certificateFor(p: Participant, subject: Member): Member | "unprovable" | null {
  if (
    isCommitted(subject) &&
    p.graph.setsOf(subject).every(({ winner }) => winner === null || winner === idOf(subject))
  ) {
    // A certificate that came late, for a rival that lost in the log, must not take the place of one that may be final.
    const isTwice = p.graph
      .setsOf(subject)
      .some((set) => set.members.some((member) => isRivalCommitted(member, subject)));
    return !isTwice && isProvable(p, subject) ? subject : "unprovable";
  }
  let own: Member | null = null;
  for (const set of p.graph.setsOf(subject)) {
    // Of what was said to be certified in the epoch before one may be final, and this node cannot tell which.
    const rival = rivalOf(p, set, subject);
    if (rival === "unknown") return "unprovable";
    if (rival !== null) return isProvable(p, rival) ? rival : "unprovable";
    if (sameMember(set.certified, subject) && isProvable(p, subject)) own = subject;
  }
  return own;
}

function rivalOf(p: Participant, set: ConflictSet, subject: Member): Member | "unknown" | null {
  if (set.certified !== null && !sameMember(set.certified, subject)) return set.certified;
  const winner = set.winner ?? p.graph.winners.get(set.id) ?? null;
  // What was final before this engine began is in no set's list any more.
  if (winner === null || winner === idOf(subject)) return null;
  const member = set.members.find(({ node, vertex }) => {
    return (vertex === null ? node.digest : node.held.vertexIds[vertex]) === winner;
  });
  if (member === undefined) return "unknown";
  return sameMember(member, subject) ? null : member;
}

function isCommitted({ node: { ownCommit }, vertex }: Member): boolean {
  return ownCommit !== null && (vertex === null || !ownCommit.except.has(vertex));
}

/** This node committed to both: one lost in the log, and it does not know which. */
function isRivalCommitted(member: Member, subject: Member): boolean {
  return !sameMember(member, subject) && isCommitted(member);
}

function isProvable(p: Participant, { node, vertex }: Member): boolean {
  return (vertex === null ? node.accepts.size : node.accepts.count(vertex)) >= p.quorum;
}

/** The log ordered reports: this node joins those that are open for it as well, and takes over what was decided. */
export function onResolutions(p: Participant, event: Extract<DagEvent, { readonly kind: "resolutions" }>): void {
  for (const resolution of event.decided) takeOver(p, resolution);
  for (const unit of event.lost ?? []) lose(p, unit);
  for (const { subject, reports } of event.reported) join(p, subject, reports);
}

function join(p: Participant, { bundle, vertex }: Unit, reports: number): void {
  if (p.self === null || !p.mayVote) return;
  const node = p.nodeOf(bundle);
  if (node === undefined) {
    const [peer] = p.others();
    if (peer !== undefined && !p.graph.knows(bundle)) p.missing.onNamed(bundle, peer, p.nowMs);
    remember(p, bundle, { vertex, reports });
    return;
  }
  if (vertex !== null && vertex >= node.count) return;
  // One correct validator is among f + 1; of fewer all may be liars who want work done.
  const isOld = p.nowMs - node.sinceMs >= p.params.patienceMs;
  if (reports >= p.set.honestMinority || isOld || node.isSettled) report(p, { node, vertex });
  else remember(p, bundle, { vertex, reports });
}

/** A liar may report what nobody has ever seen, again and again: the oldest of these are forgotten. */
function remember(
  p: Participant,
  bundle: Hash,
  subject: { readonly vertex: number | null; readonly reports: number },
): void {
  p.reportedElsewhere.set(bundle, subject);
  if (p.reportedElsewhere.size <= REPORTED_ELSEWHERE_MAX) return;
  const oldest = p.reportedElsewhere.keys().next();
  if (oldest.done !== true) p.reportedElsewhere.delete(oldest.value);
}

/** Subjects that others reported before this node was ready to. */
export function joinLater(p: Participant): void {
  for (const [bundle, { vertex, reports }] of [...p.reportedElsewhere]) {
    p.reportedElsewhere.delete(bundle);
    join(p, { bundle, vertex }, reports);
  }
}

/**
 * The log's word: the winner is final as soon as its ancestors are. Whoever else is in its sets has lost at once, for no quorum
 * can have committed to it (`judge`): were the winner to die with its bundle, the others would wait for ever.
 */
function takeOver(p: Participant, { winner, sets }: Resolution): void {
  for (const id of sets) {
    const set = p.graph.setOf(id);
    if (set.winner !== null) continue;
    set.isFrozen = set.isResolved = true;
    set.givenTo = winner;
    for (const member of [...set.members]) loseToLog(p, member);
  }
  const node = p.nodeOf(winner.bundle);
  if (node === undefined) {
    if (p.graph.past.get(winner.bundle) === undefined) p.resolvedLater.set(winner.bundle, { winner, sets });
    return;
  }
  applyResolution(p, node, { winner, sets });
}

/** A member of a set that the log gave to another one. */
export function loseToLog(p: Participant, member: Member): void {
  const { node, vertex } = member;
  if (!node.setsOf(vertex).some((id) => p.graph.sets.get(id)?.isLostTo(member) === true)) return;
  applyLoss(p, node, { bundle: node.digest, vertex });
}

export function applyResolution(p: Participant, node: BundleNode, { winner, sets }: Resolution): void {
  const { vertex } = winner;
  if (vertex !== null && vertex >= node.count) return;
  if (node.place === "rejected" || (vertex !== null && node.rejected.has(vertex))) return;
  node.resolved.add(codeOf(vertex));
  if (sets.includes(node.forkSet)) node.resolved.add(0);
  for (const set of p.graph.setsOf({ node, vertex })) {
    if (set.winner !== null) continue;
    set.isFrozen = set.isResolved = true;
    set.certified = { node, vertex };
    setPreference(p, set, set.certified);
  }
  p.trace("resolve", `the log decided for ${node.digest} ${vertex ?? "place"}`);
  maybeFinal(p, node);
}

/** The log's word against a unit: nobody votes for it any more. */
function lose(p: Participant, unit: Unit): void {
  const node = p.nodeOf(unit.bundle);
  if (node !== undefined) return applyLoss(p, node, unit);
  if (p.graph.past.get(unit.bundle) === undefined) {
    p.lostLater.set(unit.bundle, [...(p.lostLater.get(unit.bundle) ?? []), unit]);
  }
}

export function applyLoss(p: Participant, node: BundleNode, { vertex }: Unit): void {
  if (vertex === null && node.place === "open") rejectPlace(p, node);
  if (vertex !== null && vertex < node.count && node.isOpen(vertex)) rejectVertex(p, node, vertex);
}

function unitOf({ node, vertex }: Member): Unit {
  return { bundle: node.digest, vertex };
}

function codeOf(vertex: number | null): number {
  return vertex === null ? 0 : vertex + 1;
}
