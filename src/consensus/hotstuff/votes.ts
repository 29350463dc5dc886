import { equalBytes } from "../../lib/bytes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { BlockNode, CommitTarget } from "./block-tree.ts";
import { CLOCK_SKEW_MS_MAX, COMMITS_MAX, FETCH_DIGESTS_MAX, RECEIVE_WINDOW, UNSETTLED_MAX } from "./limits.ts";
import { mayLead } from "./leaders.ts";
import type { Commit, Qc, Tc, Vote } from "./messages.ts";
import { type Instant, refOf, type Replica, type Said } from "./replica.ts";
import { statementOf } from "./statements.ts";

/** Votes: given, said again, and collected. */

/** Algorithm 4: votes for the present view's block, once, where the rules allow it and every body is held. */
export function tryVote(replica: Replica, at: Instant): void {
  const { self, tree, view } = replica;
  if (self === null || !replica.started) return;
  const node = tree.sorted().find((known) => known.block.view === view && isLed(replica, known));
  if (node === undefined) return;
  const { block, batch } = node;
  const tc = tcFor(replica, node);
  const extendsLock = tree.isAncestor(replica.lock, node);
  if (!replica.rules.mayVote({ block, tc, lastView: replica.lastView, lock: replica.lock, extendsLock })) return;
  if (tree.hasContent(node) && !isTimely(replica, node, at)) return;
  if (!replica.isHeld(batch)) {
    const missing = batch.bundles.filter((bundle) => !replica.lanes.has(bundle)).slice(0, FETCH_DIGESTS_MAX);
    replica.emit({
      kind: "fetch-bundles",
      digests: missing,
      from: [node.proposal?.proof.seal.signer ?? replica.leader],
    });
    return;
  }
  replica.vote = refOf(node);
  replica.lastView = view;
  replica.persistVotes();
  sayVote(replica, replica.voteRoute, view);
  replica.trace("prepare", block.sequence);
}

/** Whether a block that joined is of one who may lead its view: by the round, only after a time-out certificate. */
function isLed(replica: Replica, node: BlockNode): boolean {
  const { block, proposal, settled } = node;
  const parent = replica.tree.parentOf(node);
  if (proposal === null || settled === null || parent === undefined) return false;
  const turn = { view: block.view, author: proposal.proof.seal.signer };
  const right = mayLead(replica.leaders, replica.set, parent.block, turn);
  if (right !== "after-timeout") return right !== null;
  // Else the one that a certificate elects could hide it, build on an older one, and blame the leaders in between.
  const tc = tcFor(replica, node);
  return !replica.leaders.wantsTimeouts || (tc !== null && tc.view + 1 === block.view);
}

function tcFor(replica: Replica, { proposal }: BlockNode): Tc | null {
  return proposal?.message.tc ?? replica.tc;
}

/** Content within the bounds that keep leaders from giving out absurd times, or places without end. */
function isTimely(replica: Replica, node: BlockNode, at: Instant): boolean {
  const { batch, block } = node;
  const aheadMs = batch.timestampMs - at.wallMs;
  if (Math.abs(aheadMs) > CLOCK_SKEW_MS_MAX) {
    // The look is repeated while the view lasts; its leader did it once.
    if (replica.untimely !== node.hash) {
      const detail = `a proposal ${aheadMs} ms away from this node's clock`;
      replica.trace("discard", block.sequence, detail, node.proposal?.proof.seal.signer);
    }
    replica.untimely = node.hash;
    return false;
  }
  return replica.tree.unsettled(node) <= UNSETTLED_MAX && block.sequence <= replica.low + RECEIVE_WINDOW;
}

/** Says the vote of this view, if there was one, with the commits that it stands for: one turn, one signature. */
export function sayVote(replica: Replica, to: ValidatorIndex | "leader" | "all", view: View): void {
  const { vote, tree, set, leaders } = replica;
  const node = vote === null || vote.view !== view ? undefined : tree.get(vote.block);
  const targets = node === undefined ? null : tree.commitsOf(node);
  if (node === undefined || targets === null) return;
  const next = leaders.electedOn(set, node.block);
  const commits = targets.map((target): Commit => ({ kind: "commit", view, ...target }));
  for (const message of [...commits, { kind: "vote" as const, ...refOf(node) }]) {
    if (to === "all") replica.say(message);
    else replica.tell(to === "leader" ? next : to, message);
  }
}

/** Answers the certificate that this vote completes. */
export function onVote(replica: Replica, { message, proof }: Signed<Vote>): void {
  const { view, block } = message;
  const said = replica.votes.get(view) ?? new Map<ValidatorIndex, Said>();
  replica.votes.set(view, said);
  const known = said.get(proof.seal.signer);
  if (known === undefined) said.set(proof.seal.signer, { digest: block, proof });
  else if (known.digest !== block) accuse(replica, message, known, proof);
}

export function onCommit(replica: Replica, { message, proof }: Signed<Commit>): void {
  const { view, sequence, digest } = message;
  const { signer } = proof.seal;
  const ofView = replica.commits.get(view) ?? new Map<ValidatorIndex, Map<Sequence, Said>>();
  const said = ofView.get(signer) ?? new Map<Sequence, Said>();
  const known = said.get(sequence);
  if (known !== undefined) {
    if (known.digest !== digest) accuse(replica, message, known, proof);
    return;
  }
  if (said.size >= COMMITS_MAX) return;
  said.set(sequence, { digest, proof });
  ofView.set(signer, said);
  replica.commits.set(view, ofView);
}

/** The certificates that the votes collected so far make; voters are asked for a block that is not held. */
export function collectedQcs(replica: Replica): readonly Qc[] {
  const found: Qc[] = [];
  for (const [, said] of [...replica.votes].sort(([left], [right]) => left - right)) {
    if (said.size < replica.quorum) continue;
    const block = mostVoted(said, replica.quorum);
    if (block === null) continue;
    const node = replica.tree.get(block);
    if (node === undefined) {
      const voters = [...said].filter(([, { digest }]) => digest === block).map(([signer]) => signer);
      for (const voter of voters.slice(0, replica.set.honestMinority)) replica.ask(voter, block);
    } else if (node.qc === null) {
      const qc = certificateOf(replica, node, said);
      if (qc !== null) found.push(qc);
    }
  }
  return found;
}

/** Two statements that contradict each other; reported once for each signer. */
export function accuse(replica: Replica, second: Parameters<typeof statementOf>[0], first: Said, proof: Proof): void {
  if (replica.accused.has(proof.seal.signer)) return;
  replica.accused.add(proof.seal.signer);
  const statement = statementOf(second);
  replica.emit({
    kind: "evidence",
    equivocation: {
      first: { statement: { ...statement, digest: first.digest }, proof: first.proof },
      second: { statement, proof },
    },
  });
}

function mostVoted(said: ReadonlyMap<ValidatorIndex, Said>, quorum: number): Hash | null {
  const counts = new Map<Hash, number>();
  for (const { digest } of said.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  for (const [digest, count] of counts) if (count >= quorum) return digest;
  return null;
}

/** A voter counts with all commits that belong to its vote, or not at all. */
function certificateOf(replica: Replica, node: BlockNode, said: ReadonlyMap<ValidatorIndex, Said>): Qc | null {
  const targets = replica.tree.commitsOf(node);
  if (targets === null) return null;
  const voters = [...said]
    .filter(([signer, { digest }]) => {
      return digest === node.hash && targets.every((target) => commitOf(replica, node, signer, target) !== null);
    })
    .sort(([left], [right]) => left - right)
    .slice(0, replica.quorum);
  if (voters.length < replica.quorum) return null;
  return {
    ...refOf(node),
    votes: voters.map(([, { proof }]) => proof),
    commits: targets.map((target) => ({
      ...target,
      proofs: voters.flatMap(([signer, { proof }]) => {
        const commit = commitOf(replica, node, signer, target);
        return commit === null ? [] : [withSealOf(commit, proof)];
      }),
    })),
  };
}

function commitOf(
  replica: Replica,
  { block }: BlockNode,
  signer: ValidatorIndex,
  { sequence, digest }: CommitTarget,
): Proof | null {
  const said = replica.commits.get(block.view)?.get(signer)?.get(sequence);
  return said?.digest === digest ? said.proof : null;
}

/** Equal seals as one object, which the wire writes once: a vote and its commits are of one turn. */
function withSealOf(proof: Proof, vote: Proof): Proof {
  const isOne = equalBytes(proof.seal.signature.mlDsa, vote.seal.signature.mlDsa);
  return isOne ? { ...proof, seal: vote.seal } : proof;
}
