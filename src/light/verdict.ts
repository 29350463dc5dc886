import type { NodeId } from "../crypto/identity.ts";
import type { BundlePurpose } from "../dag/bundle.ts";
import type { Hash } from "../lib/hash.ts";
import type { Nonce, Position, Sequence } from "../membership/ids.ts";
import type { Validator } from "../membership/validator-set.ts";

/** What is proved of a vertex, in either kind of network. */
interface Verdict {
  readonly hash: Hash;
  readonly creator: NodeId;
  readonly nonce: Nonce;
  readonly purpose: BundlePurpose;
  readonly payload: Uint8Array;
  /** The epoch whose validators signed. */
  readonly epoch: number;
  readonly signers: readonly Validator[];
  readonly quorum: number;
  readonly validators: number;
}

/** That a vertex has its place in the one order of everything. */
export interface OrderedVerdict extends Verdict {
  readonly kind: "ordered";
  /** Its place in the total order, from 1: what the API calls `sequence`. */
  readonly position: Position;
  /** The place in the log of the batch that ordered it. */
  readonly batch: Sequence;
  /** The place in the log up to which the signers executed it. */
  readonly certifiedBatch: Sequence;
}

/** That a vertex of a leaderless network is accepted, and so nothing that conflicts with it ever is. */
export interface AcceptedVerdict extends Verdict {
  readonly kind: "accepted";
  /** What it claims, and no other accepted vertex does; ascending by bytes. `payload` is what the client gave beside them. */
  readonly conflictKeys: readonly Uint8Array[];
}

export type FinalityVerdict = OrderedVerdict | AcceptedVerdict;
