import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import type { ValidatorSet } from "../../membership/validator-set.ts";
import type { CommitCertificate } from "../engine.ts";
import type { PreparedCertificate } from "./messages.ts";

/** One validator's vote for one place of the log. */
export interface Vote {
  readonly view: View;
  readonly digest: Hash;
  readonly proof: Proof;
  /** Whether the contradiction of this vote was reported: once is enough. */
  accused: boolean;
}

/** The leader's proposal that this replica accepted. Invariant: at most one for each view, for ever (it is durable). */
export interface Accepted {
  readonly view: View;
  readonly digest: Hash;
  /** Null at the leader until its own signed message came back, and after a restart of the leader. */
  proof: Proof | null;
  readonly atMs: number;
  accused: boolean;
}

/** One place of the log: what was proposed for it, and who voted for what (the message log of §4.2). */
export class Slot {
  readonly sequence: Sequence;
  accepted: Accepted | null = null;
  /** What this replica, leading this view, proposed; its own message may still be on its way back. */
  proposed: Hash | null = null;
  /** Whether this replica's prepare (the leader's pre-prepare) for `accepted` is on its way. */
  prepareSaid = false;
  commitSaid = false;
  /** The certificate of the highest view in which this place prepared here. Survives view changes. */
  prepared: PreparedCertificate | null = null;
  /** That a quorum committed: final. Invariant: its digest never changes. */
  committed: CommitCertificate | null = null;
  /** Replicas that prepared something else and were shown this replica's proposal. */
  readonly shown: Set<ValidatorIndex> = new Set();
  /** The newest vote of each validator. Invariant: keys are distinct validators, so sizes count validators. */
  readonly prepares: Map<ValidatorIndex, Vote> = new Map();
  readonly commits: Map<ValidatorIndex, Vote> = new Map();

  constructor(sequence: Sequence) {
    this.sequence = sequence;
  }

  /** The proposal that was accepted in the view before: its other version may turn up late. */
  former: Accepted | null = null;

  /** A new view begins: what was accepted in the old one binds no more; certificates and commits stay. */
  onNewView(): void {
    this.former = this.accepted ?? this.former;
    this.accepted = null;
    this.proposed = null;
    this.prepareSaid = false;
    this.commitSaid = false;
    this.prepares.clear();
    this.shown.clear();
  }

  /** §4.2, predicate `prepared`: the accepted pre-prepare and q - 1 matching prepares of replicas other than the leader. */
  preparedCertificate(set: ValidatorSet): PreparedCertificate | null {
    if (this.accepted === null || this.accepted.proof === null) return null;
    const { view, digest, proof } = this.accepted;
    const leader = set.leaderOf(view);
    const proofs: Proof[] = [];
    for (const [signer, vote] of [...this.prepares].sort(bySigner)) {
      if (signer !== leader && vote.view === view && vote.digest === digest) proofs.push(vote.proof);
    }
    if (proofs.length < set.quorum - 1) return null;
    return { view, sequence: this.sequence, digest, prePrepare: proof, prepares: proofs.slice(0, set.quorum - 1) };
  }

  /** §4.2, `committed`: a quorum of commits that match. It proves itself, whatever this replica's own view is. */
  commitCertificate(set: ValidatorSet, view: View, digest: Hash): CommitCertificate | null {
    const proofs: Proof[] = [];
    for (const [, vote] of [...this.commits].sort(bySigner)) {
      if (vote.view === view && vote.digest === digest) proofs.push(vote.proof);
    }
    return proofs.length < set.quorum ? null : { epoch: set.epoch, view, digest, proofs: proofs.slice(0, set.quorum) };
  }
}

function bySigner(left: readonly [ValidatorIndex, Vote], right: readonly [ValidatorIndex, Vote]): number {
  return left[0] - right[0];
}

/** Whether a late proposal contradicts the one that was accepted in its view, so that its leader lied. */
export function isOtherThanFormer(
  slot: Slot | undefined,
  { view, digest }: { readonly view: View; readonly digest: Hash },
): boolean {
  const former = slot?.former ?? null;
  return (
    former !== null && former.view === view && former.digest !== digest && former.proof !== null && !former.accused
  );
}
