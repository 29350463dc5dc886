import type { ViolationType } from "../peering/peer-score.ts";

/**
 * What the inbound path's words mean for the peer that sent it: a violation of document 3, or nothing (null) where a correct
 * peer can do it too. Blame is always the authenticated connection's (corrections.md 10). Two types do not come this way:
 * `equivocation`, proved by two signatures of its author, whoever delivered them, and `timeout`, which is a silence.
 *
 * Null is also what depends on the epoch in which two nodes are: they do not enter one in the same moment.
 */
const REJECTED: ReadonlyMap<string, ViolationType | null> = new Map(
  Object.entries<ViolationType | null>({
    "malformed-frame": "malformed",
    "malformed-message": "malformed",
    "malformed-bundle": "malformed",
    "malformed-certificate": "malformed",
    "malformed-answer": "malformed",
    "malformed-query": "malformed",
    "malformed-votes": "malformed",
    "seal-of-another": "malformed",
    "bundle-of-another": "malformed",
    "new-view-not-from-leader": "malformed",
    "pre-prepare-not-from-leader": "malformed",
    "prepare-from-leader": "malformed",
    "proposal-not-from-leader": "malformed",
    "invalid-signature": "invalid-signature",
    "invalid-certificate": "invalid-signature",
    "invalid-bundle": "invalid-signature",
    "invalid-committed-places": "invalid-signature",
    "invalid-snapshot": "invalid-signature",
    "invalid-evidence": "invalid-signature",
    "malformed-command": "malformed",
    "malformed-status": "malformed",
    "content-of-another-digest": "malformed",
    // Proved by its own signature against a quorum's; nothing that it computes can be relied on.
    "divergent-state": "malformed",
    // One that says it is in this epoch, of which it is no validator.
    "statement-of-observer": "malformed",
    // Bundles hold in every epoch, and their creator may have left, or not come yet.
    "unknown-signer": null,
  }),
);

const IGNORED: ReadonlyMap<string, ViolationType | null> = new Map(
  Object.entries<ViolationType | null>({
    // Again, or too late: what a replay is made of. The allowance of `replay` is what makes too many of them one.
    duplicate: "replay",
    "old-view": "replay",
    // Certificates: whoever asks several is answered by several.
    known: "replay",
    "below-window": "replay",
    "checkpoint-not-expected": "replay",
    "bundle-not-wanted": "replay",
    "status-too-often": "replay",
    // Early: then it is this node that is behind.
    "above-window": null,
    // HotStuff: whoever lacks a block asks several, and some of them pruned it.
    "unknown-block": null,
    "far-view": null,
    "other-epoch": null,
    "command-not-understood": null,
    "report-not-understood": null,
    // Bundles of a leaderless network come over several ways at once, and answers after their poll is decided.
    "dag-bundle-not-wanted": null,
    "not-answering": null,
    "answer-to-another": null,
    "late-answer": null,
    "answer-to-an-earlier-life": null,
  }),
);

/** The class of a reason: what stands before a colon; particulars follow. */
export function reasonClass(reason: string): string {
  const colon = reason.indexOf(":");
  return colon < 0 ? reason : reason.slice(0, colon);
}

/**
 * The violation that `onRejected`'s reason is; null where it is none. Whatever has no name here is not held against
 * anybody: a word that this list forgot must not ban a correct peer.
 */
export function violationOfRejected(reason: string): ViolationType | null {
  return REJECTED.get(reasonClass(reason)) ?? null;
}

/** As `violationOfRejected`, for `onIgnored`; correct peers send such things too, and the score has allowances for them. */
export function violationOfIgnored(reason: string): ViolationType | null {
  return IGNORED.get(reasonClass(reason)) ?? null;
}

export function isKnownReason(kind: "rejected" | "ignored", reason: string): boolean {
  return (kind === "rejected" ? REJECTED : IGNORED).has(reasonClass(reason));
}

/**
 * Whether an engine's "discard" is about a leader's own choice of a time far from the clock. The proposal was signed by the
 * leader of the view, so it is the leader's violation; other discards are nobody's.
 * Only one that is ahead: an old one may be the answer to a node that was away.
 */
export function isTimestampDiscard(phase: string, detail: string): boolean {
  return phase === "discard" && /^a proposal \d+ ms away from this node's clock$/.test(detail);
}
