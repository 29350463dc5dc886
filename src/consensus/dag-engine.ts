import type { HeldBundle } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Resolution, Unit } from "../dag/unit.ts";
import type { Votes } from "../dag/votes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { Signed } from "../membership/seal.ts";

/**
 * What a leaderless engine hears and wants beyond what every engine does: it decides the bundles of purpose `dag`, each
 * with its place in its creator's lane, and each of its vertices apart.
 */

export type { Resolution, Unit } from "../dag/unit.ts";

/** A bundle whose body is held, and will be durable before anything leaves that the step says. */
export interface DagArrival {
  readonly held: HeldBundle;
  /**
   * Vertices that can never be accepted, ascending: the ledger has another, final one for one of their conflict keys, or
   * the application finds them invalid, as every correct node does.
   */
  readonly lost: readonly number[];
  /** What the ledger says of its place in the lane where it is of the past and was asked for again; else null. */
  readonly settled: "accepted" | "rejected" | null;
}

/** A bundle of which something is open, or was lately, as the ledger or the engine of the epoch before has it. */
export interface DagOpen {
  readonly held: HeldBundle;
  readonly place: "open" | "accepted";
  /** Vertices that are final, ascending each. */
  readonly accepted: readonly number[];
  readonly rejected: readonly number[];
  /** What this node knows to be certified, each epoch's apart; nothing from the ledger. */
  readonly certified: readonly DagCertificate[];
}

/** What a quorum of one epoch's validators accepted of one bundle, as far as its holder knows. */
export interface DagCertificate {
  readonly epoch: Epoch;
  /** Whether the bundle's place is. */
  readonly place: boolean;
  /** Vertices that are, ascending. */
  readonly vertices: readonly number[];
  /**
   * The accepts, where they are held: a node that crashed knows by its own commit, or by what others told, without them.
   * Where an engine hears them, each one's signature holds as a statement of that epoch.
   */
  readonly votes: readonly Signed<Votes>[];
}

/** What a leaderless engine begins with. */
export interface DagRestored {
  /** For each validator of the roster: the last vertex of the last bundle that took its place in the lane. */
  readonly lanes: readonly LaneTip[];
  /**
   * Parents before children. Accepted bundles that were settled lately may be among them: a validator that is behind needs
   * this node's votes for them.
   */
  readonly open: readonly DagOpen[];
  /** Conflict sets of their open vertices that have a final winner on the disk; none where an engine hands over. */
  readonly won?: readonly { readonly set: Hash; readonly winner: Hash }[];
  /** Epochs in which this node came to vote, newest last; absent from the ledger. */
  readonly passed?: readonly Epoch[];
}

/** How far a peer says that it has got with a bundle. Unsigned: the connection tells who says it. */
export interface DagClaim {
  readonly bundle: Hash;
  /** `certified`: it holds a quorum's accepts; `accepted` and `rejected` are final. */
  readonly state: "open" | "certified" | "accepted" | "rejected";
  /** Vertices of an accepted or certified bundle that are not so themselves, ascending. */
  readonly undecided: readonly number[];
  /** Vertices that are rejected for good, ascending. */
  readonly rejected: readonly number[];
  /** What the peer knows to be certified, for who begins an epoch; absent where nobody asked. */
  readonly certified?: readonly DagCertificate[];
}

export type DagEvent =
  | {
      readonly kind: "dag-bundles";
      readonly nowMs: number;
      readonly wallMs: number;
      readonly bundles: readonly DagArrival[];
    }
  /** What one validator, asked over its own connection, says of bundles that were handed over as `dag-bundles` before. */
  | {
      readonly kind: "dag-claims";
      readonly nowMs: number;
      readonly wallMs: number;
      readonly from: ValidatorIndex;
      /** The epoch that the asked one was in. */
      readonly epoch: Epoch;
      /** Epochs in which it came to vote, as it says. */
      readonly passed: readonly Epoch[];
      readonly claims: readonly DagClaim[];
      /** Whether it had nothing further to say. */
      readonly isLast: boolean;
    }
  /** A `dag-sync` came to nothing: the peer is away or its answer was malformed. */
  | { readonly kind: "dag-sync-failed"; readonly nowMs: number; readonly wallMs: number; readonly from: ValidatorIndex }
  /** The log ordered reports of this epoch about open conflicts, and perhaps decided some. */
  | {
      readonly kind: "resolutions";
      readonly nowMs: number;
      readonly wallMs: number;
      /** Subjects that are open, and how many distinct validators reported them. */
      readonly reported: readonly { readonly subject: Unit; readonly reports: number }[];
      readonly decided: readonly Resolution[];
      /** Subjects that lost though none of their sets was given away: a rival of theirs was certified and had lost before. */
      readonly lost?: readonly Unit[];
    };

/** What became final in one step about one bundle. */
export interface DagDecision {
  readonly bundle: Hash;
  /** What became of its place in the lane; null where that was decided before. */
  readonly place: "accepted" | "rejected" | null;
  /** Vertices that became accepted, and that lost; ascending. */
  readonly accepted: readonly number[];
  readonly rejected: readonly number[];
  /** Whether nothing of the bundle is open any more. */
  readonly isSettled: boolean;
  /** The moving average of the polls about its place, 0 to 1,000,000, and how many polls there were. */
  readonly confidencePpm: number;
  readonly polls: number;
}

export type DagEffect =
  /** Final, in an order in which ancestors come before descendants. Ends the voting: durable before anybody is told. */
  | { readonly kind: "decide"; readonly decisions: readonly DagDecision[] }
  /** Bundles of which these are the last vertices. */
  | { readonly kind: "fetch-vertices"; readonly tips: readonly Hash[]; readonly from: readonly ValidatorIndex[] }
  /** Ask one validator for the bundles above this node's decided frontier, and what it knows of them (`dag-claims`). */
  | {
      readonly kind: "dag-sync";
      readonly from: ValidatorIndex;
      /** Whether it must also tell what earlier epochs certified, with the votes. */
      readonly isForEpoch: boolean;
    }
  /**
   * Tell the ordered log that this conflict is open here, with the quorum's accepts for the subject or for a vertex that
   * conflicts with it, where this node holds such. It has promised not to vote on the subject's sets any more.
   */
  | {
      readonly kind: "report";
      readonly subject: Unit;
      readonly certified: { readonly unit: Unit; readonly votes: readonly Signed<Votes>[] } | null;
    }
  | { readonly kind: "partition"; readonly isPartitioned: boolean };

/** How a leaderless engine stands, for its operators. */
export interface DagStatus {
  /** Bundles of which something is open. */
  readonly undecidedBundles: number;
  readonly undecidedVertices: number;
  /** Open conflict sets with two members or more. */
  readonly conflicts: number;
  readonly pollsUnderWay: number;
  readonly polls: number;
  /** Queries that were not answered in time, since the engine began. */
  readonly queryTimeouts: number;
  /** The share of the recent queries that nobody answered in time, 0 to 1. */
  readonly timeoutShare: number;
  readonly isPartitioned: boolean;
  /** Whether this node may cast binding votes: it has heard what the epoch before certified. */
  readonly mayVote: boolean;
}

/** What the node asks a leaderless engine directly. */
export interface DagView {
  status(): DagStatus;
  /** The second parent of a bundle that is made now: the last vertex of a bundle of another creator; genesis for none. */
  secondParent(nowMs: number): Hash;
  /** What this node would say of a bundle to a peer that asks; null where it is not in memory. */
  claimOf(bundle: Hash, isForEpoch?: boolean): DagClaim | null;
  /** For each validator of the roster: up to which nonce its lane is decided without a gap. */
  frontier(): readonly Nonce[];
  /** What the next epoch's engine begins with. */
  handOver(): DagRestored;
  /** Epochs in which this node came to vote, newest last; a few of them. */
  passed(): readonly Epoch[];
  /** The moving average of the polls about a vertex that is not final, 0 to 1,000,000; null where it is unknown. */
  confidencePpm(bundle: Hash, vertex: number): number | null;
}
