import { type Batch, batchDigest, NULL_BATCH } from "../../dag/batch.ts";
import type { Sequence, ValidatorIndex } from "../../membership/ids.ts";
import { takeProposable } from "../proposable.ts";
import type { BlockNode } from "./block-tree.ts";
import { SEND_WINDOW, UNSETTLED_MAX } from "./limits.ts";
import { mayLead } from "./leaders.ts";
import type { Block } from "./messages.ts";
import { isKnown } from "./pacemaker.ts";
import { type Instant, refOf, type Replica } from "./replica.ts";
import { highOf } from "./statements.ts";

/**
 * Algorithm 4, the leader: one block in its view, on the highest certificate that it knows. A block without content is
 * proposed only while something with content is not committed everywhere, so that an idle network is quiet.
 */
export function maybePropose(replica: Replica, at: Instant): void {
  const { view, high, tree, self } = replica;
  if (self === null || !replica.started || !replica.active || replica.proposedView >= view) return;
  if (high.settled === null || !isItsTurn(replica, self)) return;
  const isElected = mayLead(replica.leaders, replica.set, high.block, { view, author: self }) === "elected";
  const tc = isElected ? null : replica.tc;
  if (tc !== null && (highOf(tc).view > high.block.view || !isKnown(replica, highOf(tc)))) return;
  const hasRoom = tree.unsettled(high) < UNSETTLED_MAX && high.block.sequence < replica.low + SEND_WINDOW;
  const bundles = hasRoom ? takeProposable(replica.lanes, replica.set, openBatches(replica)) : [];
  // Where votes go to the leader alone, it is the only one that knows the last certificate until it proposes on it.
  const isOpen = hasOpenBlock(replica) || (replica.voteRoute === "leader" && tree.unsettled(high) > 0);
  if (bundles.length === 0 && !isOpen) return;
  replica.timestampMs = Math.max(replica.timestampMs, at.wallMs);
  const batch: Batch = bundles.length === 0 ? NULL_BATCH : { timestampMs: replica.timestampMs, bundles };
  const sequence = (high.block.sequence + (bundles.length === 0 ? 0 : 1)) as Sequence;
  const absences = replica.leaders.absencesOf(replica.set, high.block, { view, author: self });
  const block: Block = { view, justify: refOf(high), sequence, digest: batchDigest(batch), absences };
  // A leader that comes back must not propose anything else in this view.
  replica.proposedView = view;
  replica.persistVotes();
  replica.say({ kind: "proposal", block, batch, qc: replica.voteRoute === "all" ? null : high.qc, tc });
  replica.trace("propose", sequence, `${bundles.length} bundles`);
}

/** By the round after a time-out certificate, else by the certificate of the view before. */
function isItsTurn({ set, leaders, view, high, tc }: Replica, self: ValidatorIndex): boolean {
  if (tc !== null && tc.view + 1 === view) return leaders.afterTimeout(set, view) === self;
  return high.block.view + 1 === view && leaders.electedOn(set, high.block) === self;
}

/** Whether a block with content is on its way to its commit: in the certified chain, or voted for here. */
export function hasOpenBlock(replica: Replica): boolean {
  const { high, tree, vote } = replica;
  const voted = vote === null ? undefined : tree.get(vote.block);
  const tips = voted === undefined || voted.block.view <= high.block.view ? [high] : [high, voted];
  return tips.some((tip) => {
    let node: BlockNode | undefined = tip;
    while (node !== undefined && node.block.view > replica.committed.block.view) {
      if (tree.hasContent(node) && node.block.sequence > replica.finalizing) return true;
      node = tree.parentOf(node);
    }
    return false;
  });
}

/** Whether a leader is waited for. */
export function hasWork(replica: Replica): boolean {
  return replica.lanes.waitingSinceMs() !== null || hasOpenBlock(replica);
}

/** The batches of the chain that is not executed, in order. */
function openBatches(replica: Replica): readonly Batch[] {
  const chain: Batch[] = [];
  let node: BlockNode | undefined = replica.high;
  while (node !== undefined && node.block.sequence > replica.executed) {
    chain.push(node.batch);
    node = replica.tree.parentOf(node);
  }
  return chain.reverse();
}
