import { assert } from "../../lib/assert.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { CommittedSlot } from "../engine.ts";
import type { BlockNode } from "./block-tree.ts";
import { forgetBlock, writeBlock } from "./durable.ts";
import { BLOCKS_OF_VIEW_MAX, FETCH_DIGESTS_MAX, VIEWS_AHEAD_MAX, WAITING_BLOCKS_MAX } from "./limits.ts";
import { mayLead } from "./leaders.ts";
import type { Block, Proposal, Qc } from "./messages.ts";
import { enterView } from "./pacemaker.ts";
import { type Instant, refOf, type Replica } from "./replica.ts";
import { blockHash } from "./statements.ts";

/**
 * The chain of certified blocks, Yin et al. 2019, §5 and Algorithm 4 (update).
 *
 * Invariants: a block joins with its justification's certificate and all commits which that certificate must bring; of each
 * view one block is certified; a commit extends the one before.
 */

/** A block whose leader signed it. It joins when the certificate that it builds on is there. */
export function learnProposal(replica: Replica, signed: Signed<Proposal>, at: Instant): void {
  const { block, qc } = signed.message;
  const hash = blockHash(block);
  const { tree } = replica;
  if (tree.get(hash) !== undefined || !isWanted(replica, signed)) return;
  const { justify } = block;
  const isFirst = justify.block === replica.genesis.hash;
  const certificate = isFirst ? null : (qc ?? tree.get(justify.block)?.qc ?? pendingFor(replica, justify.block));
  const leader = signed.proof.seal.signer;
  if (certificate === null && !isFirst) {
    if (replica.waiting.size < WAITING_BLOCKS_MAX) replica.waiting.set(hash, signed);
    replica.ask(leader, justify.block);
    return;
  }
  replica.waiting.delete(hash);
  const node: BlockNode = {
    hash,
    block,
    batch: signed.message.batch,
    proposal: signed,
    justifyQc: certificate,
    qc: null,
    settled: null,
  };
  tree.add(node);
  // With the certificate that it rests on: its own row must be enough after a crash.
  const kept = { message: { ...signed.message, qc: certificate, tc: null }, proof: signed.proof };
  replica.emit({ kind: "persist", writes: [writeBlock(hash, kept)] });
  joinAll(replica, at);
  if (tree.get(hash) === node && node.settled === null) {
    replica.ask(leader, lowestMissing(replica, node));
  }
  const pending = replica.pendingQc;
  if (pending !== null && pending.block === hash) learnQc(replica, pending, leader, at);
}

/** A quorum's votes, collected here or handed over. Who handed it over is asked for the block where it is not held. */
export function learnQc(replica: Replica, qc: Qc, from: ValidatorIndex, at: Instant): void {
  const node = replica.tree.get(qc.block);
  if (node === undefined) {
    if (qc.view <= replica.high.block.view) return;
    if (replica.pendingQc === null || replica.pendingQc.view < qc.view) replica.pendingQc = qc;
    replica.ask(from, qc.block);
    return;
  }
  if (replica.pendingQc !== null && replica.pendingQc.view <= qc.view) replica.pendingQc = null;
  if (node.qc !== null || node === replica.genesis || !bringsCommits(replica, node, qc)) return;
  certify(replica, node, qc, at);
  takeWaiting(replica, at);
}

/** Hands committed places over for execution: in sequence, each with every body held. */
export function maybeFinalize(replica: Replica): void {
  if (!replica.started) return;
  for (;;) {
    const sequence = (replica.finalizing + 1) as Sequence;
    const slot = replica.decided.get(sequence);
    if (slot === undefined) return;
    if (!replica.isHeld(slot.batch)) {
      const missing = slot.batch.bundles.filter((bundle) => !replica.lanes.has(bundle)).slice(0, FETCH_DIGESTS_MAX);
      const from = slot.certificate.proofs.map(({ seal }) => seal.signer);
      replica.emit({ kind: "fetch-bundles", digests: missing, from });
      return;
    }
    replica.finalizing = sequence;
    replica.committers = slot.certificate.proofs.length;
    replica.emit({ kind: "finalize", slot });
  }
}

/** After execution: the blocks that no chain of the future can need. */
export function pruneExecuted(replica: Replica): void {
  let root: BlockNode | undefined = replica.committed;
  while (root !== undefined && root.block.sequence > replica.executed) root = replica.tree.parentOf(root);
  if (root === undefined) return;
  const gone = replica.tree.prune(root).filter((node) => node !== replica.genesis);
  if (gone.length > 0) replica.emit({ kind: "persist", writes: gone.map(({ hash }) => forgetBlock(hash)) });
  for (const [hash, { message }] of replica.waiting) {
    if (message.block.view <= root.block.view) replica.waiting.delete(hash);
  }
}

/** The block below the lowest held ancestor. */
export function lowestMissing(replica: Replica, node: BlockNode): BlockNode["hash"] {
  let low = node;
  for (let up = replica.tree.parentOf(low); up !== undefined; up = replica.tree.parentOf(low)) low = up;
  return low.block.justify.block;
}

/**
 * New and near, or named by what is held: by a certificate, or by a block that lacks its ancestors. A leader that signs
 * blocks for views far ahead, or many for one view, gets nothing kept.
 */
function isWanted(replica: Replica, { message: { block }, proof }: Signed<Proposal>): boolean {
  const { tree, view, committed, pendingQc, waiting } = replica;
  const isRival = (other: Signed<Proposal> | null): boolean =>
    other?.message.block.view === block.view && other.proof.seal.signer === proof.seal.signer;
  const hash = blockHash(block);
  const isNear = block.view > committed.block.view && block.view <= view + VIEWS_AHEAD_MAX;
  const nodes = tree.sorted();
  const waits = [...waiting].filter(([other, signed]) => other !== hash && isRival(signed));
  const ofView = nodes.filter(({ proposal }) => isRival(proposal)).length + waits.length;
  if (isNear && ofView < BLOCKS_OF_VIEW_MAX) return true;
  if (pendingQc?.block === hash) return true;
  if (nodes.some((node) => node.settled === null && node.block.justify.block === hash)) return true;
  return [...waiting.values()].some(({ message }) => message.block.justify.block === hash);
}

function pendingFor(replica: Replica, block: BlockNode["hash"]): Qc | null {
  return replica.pendingQc?.block === block ? replica.pendingQc : null;
}

/** Blocks that waited for a certificate which is known now. */
function takeWaiting(replica: Replica, at: Instant): void {
  const ready = [...replica.waiting.values()]
    .filter(({ message }) => (replica.tree.get(message.block.justify.block)?.qc ?? null) !== null)
    .sort((left, right) => left.message.block.view - right.message.block.view);
  for (const signed of ready) learnProposal(replica, signed, at);
}

/** Every block whose chain is known far enough: its certificate counts. What contradicts its chain is thrown out. */
export function joinAll(replica: Replica, at: Instant): void {
  const { tree } = replica;
  for (const node of tree.sorted()) {
    if (node.settled !== null || tree.get(node.hash) !== node) continue;
    const parent = tree.parentOf(node);
    if (parent === undefined) continue;
    if (!isFollowing(replica, node, parent)) {
      tree.delete(node.hash);
      replica.emit({ kind: "persist", writes: [forgetBlock(node.hash)] });
      replica.trace("discard", node.block.sequence, "a block against its chain");
      continue;
    }
    node.settled = tree.settledOf(node);
    if (node.justifyQc !== null && parent.qc === null) certify(replica, parent, node.justifyQc, at);
  }
  takeWaiting(replica, at);
}

function isFollowing(replica: Replica, node: BlockNode, parent: BlockNode): boolean {
  const { block, proposal } = node;
  if (proposal !== null && !isByItsLeader(replica, block, parent.block, proposal.proof.seal.signer)) return false;
  const added = replica.tree.hasContent(node) ? 1 : 0;
  if (block.sequence !== parent.block.sequence + added || block.justify.view !== parent.block.view) return false;
  return node.justifyQc === null || bringsCommits(replica, parent, node.justifyQc);
}

/** Whether its author may lead there, and it says of its chain's leaders what the chain does. */
function isByItsLeader({ set, leaders }: Replica, block: Block, parent: Block, author: ValidatorIndex): boolean {
  if (mayLead(leaders, set, parent, { view: block.view, author }) === null) return false;
  return leaders.isRecordRight(set, parent, block, author);
}

/** Whether a certificate brings a quorum's commits for all that its votes commit; what cannot be told is a quorum's word. */
function bringsCommits({ tree }: Replica, node: BlockNode, { commits }: Qc): boolean {
  const targets = tree.commitsOf(node);
  if (targets === null) return true;
  return targets.every((target) => {
    return commits.some(({ sequence, digest }) => {
      return sequence === target.sequence && digest === target.digest;
    });
  });
}

function certify(replica: Replica, node: BlockNode, qc: Qc, at: Instant): void {
  const { view } = node.block;
  for (const other of replica.tree.sorted()) {
    assert(
      other === node || other.qc === null || other.block.view !== view,
      `two certified blocks in view ${view}: more than f validators lie`,
    );
  }
  node.qc = qc;
  replica.trace("prepared", node.block.sequence);
  if (view > replica.high.block.view) {
    replica.high = node;
    forgetVotes(replica, view);
  }
  if (replica.rules.phases === 3 && node.block.justify.view > replica.lock.view) replica.lock = node.block.justify;
  commitHead(replica, node, qc);
  enterView(replica, (view + 1) as View, at);
}

/** Algorithm 4, the commit rule: consecutive blocks commit the first of them and all its ancestors. */
function commitHead(replica: Replica, node: BlockNode, qc: Qc): void {
  const { tree, committed } = replica;
  const head = tree.headOf(node);
  if (head === undefined || head === replica.genesis) return;
  const path = tree.above(node.settled ?? head, head);
  for (const { sequence, digest, proofs } of qc.commits) {
    const batch = path?.find(({ block }) => block.sequence === sequence && block.digest === digest)?.batch;
    if (batch === undefined || sequence <= replica.finalizing) continue;
    const slot: CommittedSlot = {
      sequence,
      batch,
      certificate: { epoch: replica.set.epoch, view: qc.view, digest, proofs },
    };
    const known = replica.decided.get(sequence);
    assert(
      known === undefined || known.certificate.digest === digest,
      `place ${sequence} is committed twice: more than f validators lie`,
    );
    if (known === undefined) {
      replica.decided.set(sequence, slot);
      replica.trace("committed", sequence);
    }
  }
  if (head.block.view > committed.block.view) {
    assert(
      tree.isAncestor(refOf(committed), head) || lacksAncestors(replica, head),
      `blocks of views ${committed.block.view} and ${head.block.view} are committed and no chain: more than f validators lie`,
    );
    replica.committed = head;
    // A commit, not a certificate, ends the doubling: a chain needs several good views in a row.
    replica.timeout.onProgress();
  }
  maybeFinalize(replica);
}

/** Whether too little is held below to tell its chain: after a jump over what was missed. */
function lacksAncestors(replica: Replica, node: BlockNode): boolean {
  let at: BlockNode | undefined = node;
  while (at !== undefined && at.block.view > replica.committed.block.view) at = replica.tree.parentOf(at);
  return at === undefined;
}

function forgetVotes(replica: Replica, view: View): void {
  for (const known of replica.votes.keys()) if (known < view) replica.votes.delete(known);
  for (const known of replica.commits.keys()) if (known < view) replica.commits.delete(known);
  for (const known of replica.proposed.keys()) if (known + 1 < view) replica.proposed.delete(known);
}
