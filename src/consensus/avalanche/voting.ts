import { type VoteEntry, type VoteLevel, VOTE_ENTRIES_MAX, VOTE_EXCEPTIONS_MAX, type Votes } from "../../dag/votes.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { Epoch } from "../../membership/ids.ts";
import type { DagCertificate } from "../dag-engine.ts";
import type { DurableWrite } from "../engine.ts";
import type { BundleNode, OwnVote, Parent } from "./bundle-node.ts";
import type { Member } from "./conflict-set.ts";
import { maybeFinal } from "./deciding.ts";
import type { Participant } from "./participant.ts";
import { isPreferred, setPreference } from "./preferring.ts";
import { rememberOwn } from "./remembering.ts";

/**
 * The binding votes: PBFT's prepare and commit (Castro & Liskov 1999, §4.2) for members of conflict sets.
 *
 * Invariants: in one epoch a correct validator accepts at most one member of a set; it commits only to what a quorum
 * accepted; after it reported a conflict to the log it does neither until the log has decided. Each is durable before it leaves.
 */

/** How sure sampling must be: `sampled` needs Snowball's verdict, `preferred` takes what is preferred at the moment. */
export type Certainty = "sampled" | "preferred";

/** Accepts what may be accepted of a bundle, and of its descendants that waited for it. */
export function maybeAccept(p: Participant, first: BundleNode, certainty: Certainty): void {
  if (p.self === null || !p.mayVote) return;
  const waiting: BundleNode[] = [first];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (acceptOne(p, node, node === first ? certainty : "sampled")) waiting.push(...node.children);
  }
}

/** Answers whether its place is voted for from now on. */
function acceptOne(p: Participant, node: BundleNode, certainty: Certainty): boolean {
  if (node.isSettled || node.place === "rejected") return false;
  const isNew = node.ownAccept === null;
  if (isNew) {
    const place: Member = { node, vertex: null };
    if (node.place === "open" && !isReady(p, place, certainty)) return false;
    if (!isVotedParent(node.previous) || !isVotedParent(node.second)) return false;
    lock(p, place);
    node.ownAccept = { except: new Set(node.open()), saidAtMs: p.nowMs, isUnsaid: true };
    for (const vertex of node.rejected) node.ownAccept.except.add(vertex);
    p.toSay.add(node);
  }
  const { ownAccept } = node;
  if (ownAccept === null) return false;
  for (const vertex of [...ownAccept.except]) {
    const member: Member = { node, vertex };
    if (node.rejected.has(vertex) || !isReady(p, member, certainty)) continue;
    lock(p, member);
    ownAccept.except.delete(vertex);
    ownAccept.isUnsaid = true;
    p.toSay.add(node);
  }
  return isNew;
}

/** Ancestors are voted for before descendants: a vote for a vertex is a vote for its ancestry. */
function isVotedParent(parent: Parent): boolean {
  return parent === "past" || parent.place === "accepted" || parent.isCertified || parent.ownAccept !== null;
}

function isReady(p: Participant, member: Member, certainty: Certainty): boolean {
  // In this order, for it is asked of every open bundle after every poll, and most have not been sampled enough.
  return (certainty === "preferred" || isSampled(p, member)) && mayAccept(p, member);
}

/**
 * FR-005: beta successes in a row, and the moving average; where no rival is known earlyBeta of them, as the paper's
 * `isAccepted` has it (arXiv 1906.08936: "safe early commitment" or "consecutive counter").
 */
function isSampled(p: Participant, member: Member): boolean {
  const { inRow, confidencePpm } = member.node.snowOf(member.vertex);
  const { beta, earlyBeta, finalizationPpm } = p.params;
  if (inRow < earlyBeta || confidencePpm < finalizationPpm) return false;
  return inRow >= beta || p.graph.setsOf(member).every(({ isContested }) => !isContested);
}

/** One member of each set and epoch, and none while the log decides. */
function mayAccept(p: Participant, member: Member): boolean {
  return p.graph.setsOf(member).every((set) => set.isFreeFor(member)) && isPreferred(p, member);
}

function lock(p: Participant, member: Member): void {
  for (const set of p.graph.setsOf(member)) {
    set.lock = member;
    setPreference(p, set, member);
  }
}

/** A vote of another validator, or of this one, durable by now. */
export function onVotes(p: Participant, signed: Signed<Votes>): readonly BundleNode[] {
  const { signer } = signed.proof.seal;
  const again: BundleNode[] = [];
  const touched = new Set<BundleNode>();
  for (const entry of signed.message.entries) {
    const node = p.nodeOf(entry.bundle);
    if (node === undefined) continue;
    if (!countVote(node, entry, signer, signed) && signer !== p.self) again.push(node);
    if (mayAdvance(p, node)) touched.add(node);
  }
  for (const node of touched) advance(p, node);
  return again;
}

function countVote(node: BundleNode, entry: VoteEntry, signer: ValidatorIndex, signed: Signed<Votes>): boolean {
  const tally = entry.level === "accept" ? node.accepts : node.commits;
  return tally.add(signer, entry.except, signed);
}

/** Whether `advance` may change anything: of all votes but those about a quorum's end, nearly none can. */
function mayAdvance(p: Participant, node: BundleNode): boolean {
  if (node.isSettled) return false;
  const { accepts, commits, ownCommit } = node;
  if (commits.size >= p.quorum || node.claims.size > 0 || node.resolved.size > 0) return true;
  if (accepts.size < p.quorum && !node.isCertified) return false;
  const isAllCertified = node.isCertified && node.certified.size === node.count;
  return !isAllCertified || ownCommit === null || ownCommit.except.size > 0;
}

/** From a quorum's accepts to a commit, from a quorum's commits to finality. */
export function advance(p: Participant, node: BundleNode): void {
  if (!node.isSettled && node.accepts.size >= p.quorum) certify(p, node);
  if (!node.isSettled && node.isCertified) maybeCommit(p, node);
  maybeFinal(p, node);
}

/**
 * A quorum accepted: no other member of its sets can be certified in this epoch. Its voters voted for its ancestry before, so
 * that is certified as well, also where their votes for it have not come: no rival of an ancestor gets this node's report.
 */
function certify(p: Participant, node: BundleNode): void {
  const places = node.isCertified ? [] : uncertified(node);
  for (const each of places) {
    each.isCertified = true;
    if (each.place === "open") hold(p, { node: each, vertex: null });
  }
  if (node.certified.size < node.count) certifyVertices(p, node);
  for (const each of places) {
    maybeCommit(p, each);
    for (const child of each.children) maybeAccept(p, child, "sampled");
  }
}

/** A bundle and its ancestors that are not certified yet, the oldest first. */
function uncertified(node: BundleNode): readonly BundleNode[] {
  const found = new Set<BundleNode>([node]);
  for (const each of found) {
    for (const parent of [each.previous, each.second]) {
      if (parent !== "past" && parent.place === "open" && !parent.isCertified) found.add(parent);
    }
  }
  return [...found].sort((left, right) => left.order - right.order);
}

function certifyVertices(p: Participant, node: BundleNode): void {
  const isAll = node.accepts.full >= p.quorum;
  for (const vertex of node.open()) {
    if (node.certified.has(vertex) || (!isAll && node.accepts.count(vertex) < p.quorum)) continue;
    node.certified.add(vertex);
    hold(p, { node, vertex });
  }
}

/**
 * Whether this node has seen that a quorum accepted it, in this epoch or before. What it committed to it has seen certified:
 * that is on the disk, the votes are not, and who asks after a crash must hear of it (docs/decisions/0006, 2 and 6).
 */
export function isWitnessed({ node, vertex }: Member): boolean {
  if (vertex === null ? node.isCertified : node.certified.has(vertex)) return true;
  if (node.carried.some((certificate) => isCertifiedBy(certificate, vertex))) return true;
  return node.ownCommit !== null && (vertex === null || !node.ownCommit.except.has(vertex));
}

export function isCertifiedBy({ place, vertices }: DagCertificate, vertex: number | null): boolean {
  return vertex === null ? place : vertices.includes(vertex);
}

/**
 * What is certified is what this node prefers from now on, and the only one that it still may accept; of two certificates of
 * different epochs the newer one counts.
 */
export function hold(p: Participant, member: Member, epoch: Epoch = p.set.epoch): void {
  for (const set of p.graph.setsOf(member)) {
    // What the log has decided stays so, whatever late votes say.
    if (set.winner !== null || set.isResolved || set.certifiedIn > epoch) continue;
    set.certified = member;
    set.certifiedIn = epoch;
    setPreference(p, set, member);
  }
}

/** Commits to what is certified of a bundle, and then of its descendants that waited for it: ancestors come first. */
function maybeCommit(p: Participant, first: BundleNode): void {
  if (p.self === null || !p.mayVote) return;
  const waiting: BundleNode[] = [first];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (commitOne(p, node)) waiting.push(...node.children);
  }
}

/** Answers whether its place is committed to from now on. */
function commitOne(p: Participant, node: BundleNode): boolean {
  if (!node.isCertified || node.place === "rejected") return false;
  const isNew = node.ownCommit === null;
  // A certificate that a descendant's voters imply shows nobody anything: whoever commits must be able to prove it to the log.
  if (isNew && node.accepts.size < p.quorum) return false;
  if (isNew) {
    if (isFrozen(p, { node, vertex: null }) || !isCommittedParent(node.previous) || !isCommittedParent(node.second)) {
      return false;
    }
    node.ownCommit = { except: new Set(allOf(node)), saidAtMs: p.nowMs, isUnsaid: true };
    p.toSay.add(node);
  }
  const { ownCommit } = node;
  if (ownCommit === null) return false;
  for (const vertex of [...ownCommit.except]) {
    // What lost was frozen until it did; a quorum's accepts that it may have count for nothing since.
    if (node.rejected.has(vertex)) continue;
    if (!node.accepted.has(vertex) && (!node.certified.has(vertex) || isFrozen(p, { node, vertex }))) continue;
    ownCommit.except.delete(vertex);
    ownCommit.isUnsaid = true;
    p.toSay.add(node);
  }
  return isNew;
}

/** A commit to a bundle is one to its ancestry: never where this node promised not to commit to an ancestor's place. */
function isCommittedParent(parent: Parent): boolean {
  return parent === "past" || parent.place === "accepted" || parent.ownCommit !== null;
}

function allOf(node: BundleNode): readonly number[] {
  return Array.from({ length: node.count }, (_, vertex) => vertex);
}

function isFrozen(p: Participant, member: Member): boolean {
  return p.graph.setsOf(member).some((set) => set.isFrozen && set.winner === null);
}

/** Writes what this step voted, then says it. */
export function sayVotes(p: Participant): void {
  if (p.toSay.size === 0) return;
  const nodes = [...p.toSay];
  p.toSay.clear();
  const writes: DurableWrite[] = [];
  const entries: VoteEntry[] = [];
  for (const node of nodes) {
    writes.push(...rememberOwn(p, node));
    entries.push(...entriesOf(p, node, "unsaid"));
  }
  if (writes.length > 0) p.emit({ kind: "persist", writes });
  for (const message of messagesOf(entries)) p.emit({ kind: "broadcast", message });
}

/** What this node voted about a bundle: all of it, or what it has not said yet. */
export function entriesOf(p: Participant, node: BundleNode, which: "all" | "unsaid"): readonly VoteEntry[] {
  const entry = (level: VoteLevel, vote: OwnVote | null): readonly VoteEntry[] => {
    if (vote === null || (which === "unsaid" && !vote.isUnsaid)) return [];
    vote.saidAtMs = p.nowMs;
    vote.isUnsaid = false;
    return [{ level, bundle: node.digest, except: [...vote.except].sort((left, right) => left - right) }];
  };
  return [...entry("accept", node.ownAccept), ...entry("commit", node.ownCommit)];
}

/** As few messages as hold these votes. */
export function messagesOf(entries: readonly VoteEntry[]): readonly Votes[] {
  const messages: Votes[] = [];
  let some: VoteEntry[] = [];
  let exceptions = 0;
  for (const entry of entries) {
    const isFull = some.length >= VOTE_ENTRIES_MAX || exceptions + entry.except.length > VOTE_EXCEPTIONS_MAX;
    if (isFull && some.length > 0) {
      messages.push({ kind: "votes", entries: some });
      some = [];
      exceptions = 0;
    }
    some.push(entry);
    exceptions += entry.except.length;
  }
  if (some.length > 0) messages.push({ kind: "votes", entries: some });
  return messages;
}
