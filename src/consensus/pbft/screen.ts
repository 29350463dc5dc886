import type { ValidatorIndex } from "../../membership/ids.ts";
import { unreachable } from "../../lib/assert.ts";
import { batchDigest } from "../../dag/batch.ts";
import type { Verdict } from "../engine.ts";
import { isCheckpointExpected } from "./checkpoints.ts";
import type { Commit, PbftMessage, Prepare, PrePrepare } from "./messages.ts";
import type { Replica } from "./replica.ts";
import { isOtherThanFormer } from "./slot.ts";
import { statementOf } from "./statements.ts";

/** How many views ahead of its own a replica keeps messages for; the rest comes with the new-view message. */
const VIEWS_AHEAD_MAX = 16;

const ACCEPT: Verdict = { kind: "accept" };

/**
 * Whether a message is worth its signature check: expected here, new, and from the one who may send it. Changes nothing.
 */
export function screen(replica: Replica, from: ValidatorIndex, message: PbftMessage): Verdict {
  switch (message.kind) {
    case "pre-prepare":
    case "prepare":
    case "commit":
      return screenPhase(replica, from, message);
    case "checkpoint":
      if (!isCheckpointExpected(replica, message.sequence)) return ignore("checkpoint-not-expected");
      return replica.checkpointVotes.get(message.sequence)?.has(from) === true ? ignore("duplicate") : ACCEPT;
    case "view-change":
      if (message.view < replica.view || (message.view === replica.view && replica.active))
        return repeated(replica, from, message, "old-view");
      return (replica.viewChanges.get(from)?.message.view ?? 0) >= message.view
        ? repeated(replica, from, message)
        : ACCEPT;
    case "new-view":
      if (from !== replica.set.leaderOf(message.view)) return reject("new-view-not-from-leader");
      if (message.view < replica.view || message.view === 0) return repeated(replica, from, message, "old-view");
      return message.view === replica.view && replica.active ? repeated(replica, from, message) : ACCEPT;
    default:
      return unreachable(message);
  }
}

function screenPhase(replica: Replica, from: ValidatorIndex, message: PrePrepare | Prepare | Commit): Verdict {
  const fromLeader = from === replica.set.leaderOf(message.view);
  if (message.kind === "pre-prepare" && !fromLeader) return reject("pre-prepare-not-from-leader");
  if (message.kind === "prepare" && fromLeader) return reject("prepare-from-leader");
  if (message.kind === "pre-prepare" && message.batch !== null && batchDigest(message.batch) !== message.digest) {
    return reject("content-of-another-digest");
  }
  if (message.sequence <= replica.low) return ignore("below-window");
  if (!replica.inReceiveWindow(message.sequence)) return ignore("above-window");
  if (message.view > replica.view + VIEWS_AHEAD_MAX) return ignore("far-view");
  const slot = replica.slots.get(message.sequence);
  if (message.kind === "commit") {
    const known = slot?.commits.get(from);
    const isNew = known === undefined || known.view < message.view || known.digest !== message.digest;
    return isNew ? ACCEPT : ignore("duplicate");
  }
  if (message.view < replica.view) {
    const isSecond = message.kind === "pre-prepare" && isOtherThanFormer(slot, message);
    return isSecond ? ACCEPT : ignore("old-view");
  }
  if (message.view > replica.view) return ACCEPT;
  if (message.kind === "prepare")
    return slot?.prepares.get(from)?.digest === message.digest ? ignore("duplicate") : ACCEPT;
  const accepted = slot?.accepted ?? null;
  return accepted !== null && accepted.digest === message.digest && accepted.proof !== null
    ? ignore("duplicate")
    : ACCEPT;
}

/** What was heard before is dropped unseen, unless it says something else: then it is proof of a lie. */
function repeated(replica: Replica, from: ValidatorIndex, message: PbftMessage, reason = "duplicate"): Verdict {
  return replica.contradictions.contradicts(from, statementOf(message)) ? ACCEPT : ignore(reason);
}

function ignore(reason: string): Verdict {
  return { kind: "ignore", reason };
}

function reject(reason: string): Verdict {
  return { kind: "reject", reason };
}
