import { unreachable } from "../../lib/assert.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Verdict } from "../engine.ts";
import { isCheckpointExpected } from "./checkpoints.ts";
import { VIEWS_AHEAD_MAX } from "./limits.ts";
import { mayLead } from "./leaders.ts";
import type { Block, Certificates, HotStuffMessage, Proposal } from "./messages.ts";
import type { Replica } from "./replica.ts";
import { blockHash } from "./statements.ts";

const ACCEPT: Verdict = { kind: "accept" };

/** Whether a message is worth its signature checks: expected here, new, and from the one who may send it. Changes nothing. */
export function screen(replica: Replica, from: ValidatorIndex, message: HotStuffMessage): Verdict {
  switch (message.kind) {
    case "proposal":
      return screenProposal(replica, from, message);
    case "vote": {
      const known = replica.votes.get(message.view)?.get(from);
      if (known !== undefined) return known.digest === message.block ? ignore("duplicate") : ACCEPT;
      if (message.view <= replica.high.block.view) return ignore("old-view");
      return message.view > replica.view + VIEWS_AHEAD_MAX ? ignore("far-view") : ACCEPT;
    }
    case "commit": {
      const known = replica.commits.get(message.view)?.get(from)?.get(message.sequence);
      if (known !== undefined) return known.digest === message.digest ? ignore("duplicate") : ACCEPT;
      if (message.view <= replica.high.block.view) return ignore("old-view");
      return message.view > replica.view + VIEWS_AHEAD_MAX ? ignore("far-view") : ACCEPT;
    }
    case "timeout": {
      if (message.view < replica.oldestOpenView || message.view === replica.tc?.view) return ignore("old-view");
      const known = replica.timeouts.get(from)?.message;
      if (known === undefined || known.view < message.view) return ACCEPT;
      return known.view === message.view && known.high.view < message.high.view ? ACCEPT : ignore("duplicate");
    }
    case "checkpoint":
      if (!isCheckpointExpected(replica, message.sequence)) return ignore("checkpoint-not-expected");
      return replica.checkpointVotes.get(message.sequence)?.has(from) === true ? ignore("duplicate") : ACCEPT;
    case "ask":
      return replica.tree.get(message.block) === undefined ? ignore("unknown-block") : ACCEPT;
    case "certificates":
      return isNews(replica, message) ? ACCEPT : ignore("known");
    default:
      return unreachable(message);
  }
}

function screenProposal(replica: Replica, from: ValidatorIndex, { block, qc, tc }: Proposal): Verdict {
  if (block.view < 1 || !mayPropose(replica, from, block)) return reject("proposal-not-from-leader");
  const hash = blockHash(block);
  const known = replica.tree.get(hash) !== undefined || (qc === null && replica.waiting.has(hash));
  if (!known) return ACCEPT;
  return tc !== null && tc.view >= replica.view ? ACCEPT : ignore("duplicate");
}

/** As far as can be told: who builds on a block that is not held may be the one whom it elects. */
function mayPropose({ set, leaders, tree }: Replica, author: ValidatorIndex, { view, justify }: Block): boolean {
  if (author === leaders.afterTimeout(set, view)) return true;
  if (leaders.choice === "round-robin" || view !== justify.view + 1) return false;
  const parent = tree.get(justify.block)?.block;
  return parent === undefined || mayLead(leaders, set, parent, { view, author }) !== null;
}

function isNews(replica: Replica, { qc, tc }: Certificates): boolean {
  if (tc !== null && tc.view >= replica.view) return true;
  if (qc === null || qc.view <= replica.committed.block.view) return false;
  return (replica.tree.get(qc.block)?.qc ?? null) === null;
}

function ignore(reason: string): Verdict {
  return { kind: "ignore", reason };
}

function reject(reason: string): Verdict {
  return { kind: "reject", reason };
}
