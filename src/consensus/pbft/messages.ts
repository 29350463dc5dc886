import type { Batch } from "../../dag/batch.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, View } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { CheckpointCertificate } from "../engine.ts";

/** The messages of PBFT, named as in Castro & Liskov 1999, §4. */
export type PbftMessage = PrePrepare | Prepare | Commit | Checkpoint | ViewChange | NewView;

/** §4.2: <<PRE-PREPARE, v, n, d>, m>. */
export interface PrePrepare {
  readonly kind: "pre-prepare";
  readonly view: View;
  readonly sequence: Sequence;
  readonly digest: Hash;
  /** The content, outside the signature as in the paper; null where a new leader repeats what it holds only a certificate of. */
  readonly batch: Batch | null;
}

/** §4.2: <PREPARE, v, n, d, i>. */
export interface Prepare {
  readonly kind: "prepare";
  readonly view: View;
  readonly sequence: Sequence;
  readonly digest: Hash;
}

/** §4.2: <COMMIT, v, n, D(m), i>. */
export interface Commit {
  readonly kind: "commit";
  readonly view: View;
  readonly sequence: Sequence;
  readonly digest: Hash;
}

/** §4.3: <CHECKPOINT, n, d, i>. */
export interface Checkpoint {
  readonly kind: "checkpoint";
  readonly sequence: Sequence;
  readonly stateDigest: Hash;
}

/** §4.2: prepared(m, v, n, i): the leader's pre-prepare and q - 1 matching prepares of others. */
export interface PreparedCertificate {
  readonly view: View;
  readonly sequence: Sequence;
  readonly digest: Hash;
  readonly prePrepare: Proof;
  readonly prepares: readonly Proof[];
}

/** §4.4: <VIEW-CHANGE, v+1, n, C, P, i>. */
export interface ViewChange {
  readonly kind: "view-change";
  /** The view that is wanted. */
  readonly view: View;
  /** C with its n; null stands for the genesis state at sequence 0. */
  readonly stable: CheckpointCertificate | null;
  /** P: one certificate for each sequence above n that prepared here, ascending. */
  readonly prepared: readonly PreparedCertificate[];
}

/** §4.4: <NEW-VIEW, v+1, V, O>. O follows from V, so every replica computes it; the leader's pre-prepares follow. */
export interface NewView {
  readonly kind: "new-view";
  readonly view: View;
  /** V: of a quorum of distinct validators, ascending. */
  readonly viewChanges: readonly Signed<ViewChange>[];
}
