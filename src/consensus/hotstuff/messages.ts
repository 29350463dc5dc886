import type { Batch } from "../../dag/batch.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";

/** The messages of Chained HotStuff (Yin et al., PODC 2019, §5) with the time-outs of Jolteon (Gelashvili et al. 2021). */
export type HotStuffMessage = Proposal | Vote | Commit | Timeout | Checkpoint | Ask | Certificates;

/** Names a certified block. The genesis block, of view 0, is certified without votes. */
export interface QcRef {
  readonly view: View;
  readonly block: Hash;
}

/** That a validator failed as leader, and is left out of elections by a certificate until `until`. See `leaders.ts`. */
export interface Absence {
  readonly validator: ValidatorIndex;
  /** Failures that no success made good, 1 or more. */
  readonly failures: number;
  readonly until: View;
}

/** What is hashed, signed and voted on. Its parent is the block that it justifies itself with. */
export interface Block {
  readonly view: View;
  readonly justify: QcRef;
  /** Places of the log up to and with this block: its parent's, and one more where it has content. */
  readonly sequence: Sequence;
  /** Of its batch; an empty block carries the null batch. */
  readonly digest: Hash;
  /** What its chain says of leaders, ascending by validator; nothing where leaders take turns. */
  readonly absences: readonly Absence[];
}

/** A quorum's commits for one place of the log, all of one view: what the log keeps, and third parties verify. */
export interface ProvedCommit {
  readonly sequence: Sequence;
  readonly digest: Hash;
  readonly proofs: readonly Proof[];
}

/** A quorum's votes for a block, with the commits that those votes brought along (see `BlockTree.commitsOf`). */
export interface Qc extends QcRef {
  readonly votes: readonly Proof[];
  readonly commits: readonly ProvedCommit[];
}

export interface TimeoutVote {
  readonly high: QcRef;
  readonly proof: Proof;
}

/** That a quorum gave a view up, and the highest certificate that each of them knew. */
export interface Tc {
  readonly view: View;
  readonly timeouts: readonly TimeoutVote[];
}

/** Algorithm 4: the leader's block. All but the block stands outside its signature and proves itself. */
export interface Proposal {
  readonly kind: "proposal";
  readonly block: Block;
  readonly batch: Batch;
  /** The certificate of `block.justify`; null where that is the genesis block, or where the receivers have its votes. */
  readonly qc: Qc | null;
  /** Why this view began, where it is not the view after the certificate's. */
  readonly tc: Tc | null;
}

export interface Vote {
  readonly kind: "vote";
  readonly view: View;
  readonly block: Hash;
}

/**
 * Said in one turn with the vote that completes a chain, so under one signature. Its view is the vote's and not the
 * committed block's: a quorum that voted in one view is locked on the chain, while commits of several views prove nothing.
 */
export interface Commit {
  readonly kind: "commit";
  readonly view: View;
  readonly sequence: Sequence;
  readonly digest: Hash;
}

/** The signer gives `view` up; it votes in it no more. */
export interface Timeout {
  readonly kind: "timeout";
  readonly view: View;
  /** Named only: who lacks the certificate asks. */
  readonly high: QcRef;
}

export interface Checkpoint {
  readonly kind: "checkpoint";
  readonly sequence: Sequence;
  readonly stateDigest: Hash;
}

/** For a block, its certificate, and its ancestors of views above `above`. */
export interface Ask {
  readonly kind: "ask";
  readonly block: Hash;
  readonly above: View;
}

/** What a peer that is behind needs to come into the present view. */
export interface Certificates {
  readonly kind: "certificates";
  readonly qc: Qc | null;
  readonly tc: Tc | null;
}
