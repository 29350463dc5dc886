import type { DagStatus } from "../consensus/dag-engine.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { BundlePurpose } from "../dag/bundle.ts";
import type { Hash } from "../lib/hash.ts";
import type { Candidate } from "../membership/candidate.ts";
import type { RemovalCause, Standing } from "../membership/membership-entry.ts";
import type { MembershipPolicy, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { LedgerCommand } from "../replication/ledger/ledger-command.ts";
import type { PeerInfo } from "./ports.ts";

/** What the node offers to those who use it: the HTTP API, the command line, a program that embeds it. */
export interface NodeService {
  /**
   * Takes payloads in, all or none. `accepted` resolves when they are durable here and so never lost while this disk lives.
   * In a leaderless network each payload is a sealed envelope, and `finalized` rejects with `conflict` as soon as one of the
   * vertices lost its conflict set to another. Both promises reject with NodeError: `overloaded`, `not-ready`, `payload-too-large`, `payload-empty`, `stopping`.
   */
  submit(payloads: readonly Uint8Array[]): Submission;
  /** Resolves when the vertex is final; null where no such vertex is known here. Rejects with NodeError: `timeout`, `conflict`. */
  whenFinalized(hash: Hash, options: { readonly timeoutMs: number }): Promise<FinalizedReceipt | null>;
  vertex(hash: Hash): Promise<VertexView | null>;
  /**
   * The final vertices from sequence `from` (1 is the first) on, at most `limit` items. Where a leader orders, this is the
   * total order, with what validators said of their own set. In a leaderless network it is this node's own order of
   * acceptance, of clients' vertices alone: ancestors first, and otherwise different from node to node. Rejects with NodeError
   * `too-old` where this node's log begins later.
   */
  finalized(range: { readonly from: number; readonly limit: number }): Promise<readonly FinalizedItem[]>;
  status(): NodeStatus;
  readiness(): Readiness;
  peers(): readonly PeerInfo[];
  validators(): readonly ValidatorView[];
  /** The ordered state of the validator set as this node last wrote it: equal at every node after the same batch. */
  membership(): MembershipView;
  /**
   * Says a change of the validator set in this validator's lane; resolves when the word is ordered, with what became of it.
   * An `admit` and a `dismiss` take effect with the words of a quorum. Rejects with NodeError: `observer`, `not-ready`,
   * `stopping`, `overloaded`, `malformed-candidate`, `unknown-validator`, `not-applicable`, `at-minimum`, `timeout`.
   */
  propose(change: ProposedChange): Promise<ProposalOutcome>;
  /** Calls back for every event from now on until the answer is called. A listener must not throw or block. */
  subscribe(listener: (event: NodeEvent) => void): () => void;
}

/** A client's payload, and of which conflict sets its vertex is to be: an accepted one is the only one of each. */
export interface ClientPayload {
  readonly payload: Uint8Array;
  readonly conflictKeys: readonly Uint8Array[];
}

/** Takes clients' payloads in as the network's engine and application want them. */
export interface Intake {
  /**
   * As `NodeService.submit`. Throws NodeError: `conflict-keys-refused` where everything is ordered, `malformed-keys`,
   * `payload-empty`, and `transfers-only` where the application is a ledger.
   */
  submit(items: readonly ClientPayload[]): Submission;
  /** What a client gave for a vertex: the other way round. What is no envelope, as only a liar makes it, is shown as it is. */
  open(vertexPayload: Uint8Array): ClientPayload;
}

/** What a node can show to those who trust no node (`src/light` checks it). */
export interface ProofService {
  /**
   * That a vertex is final; null where none of this hash is. Asks the other validators where no certified state covers it yet, or
   * nobody orders it. Rejects with NodeError: `not-ready` where no quorum answers, `not-provable` where this node was not there or
   * the vertex is rejected.
   */
  proof(hash: Hash): Promise<Uint8Array | null>;
  /** How the epochs from this one on ended, each with the next one's validators; as many as fit about 1 MiB, at least one. */
  epochLinks(from: number): Promise<readonly Uint8Array[]>;
}

/** The ledger of a leaderless network, at this node. Amounts are in units, up to 2^64 - 1. */
export interface LedgerService {
  readonly order: "partial";
  /** Null where the name is none that an account can have; an account that nobody named yet is empty. */
  account(name: string): LedgerAccount | null;
  summary(): LedgerSummary;
  /**
   * Submits a transfer of an account that this validator owns. Throws NodeError: `not-ready` while the state is rebuilt,
   * `malformed-transfer`, `not-owner`, `number-used`, `insufficient-balance`, `overloaded`.
   */
  transfer(wanted: WantedTransfer): TransferSubmission;
}

/** What this node knows of the ledger beside what its replicated application (`ApplicationService`) says. */
export interface OrderedLedgerService {
  readonly order: "total";
  /** Whether an account can have that name. */
  isAccount(name: string): boolean;
  /** Whether this node speaks for the account. */
  isOwn(name: string): boolean;
  /**
   * Refuses what no order could let take effect, before it costs a place in it. Throws NodeError: `malformed-transfer`,
   * `not-owner`.
   */
  check(command: LedgerCommand): void;
}

export interface LedgerAccount {
  readonly name: string;
  readonly balance: bigint;
  /** The lowest number that no transfer known to this node has. */
  readonly nextNumber: number;
  /** Whether this node may debit it. */
  readonly isOwn: boolean;
  /** Final transfers that wait for a number before theirs, or for money; ascending by number. */
  readonly waiting: readonly { readonly to: string; readonly amount: bigint; readonly number: number }[];
}

export interface LedgerSummary {
  readonly total: bigint;
  readonly accounts: number;
  /** Equal at nodes that hold the same transfers to be final. */
  readonly digest: Hash;
  /** The node's last final vertex that the state has seen. */
  readonly sequence: number;
  /** False while the state is rebuilt from the final vertices after a start. */
  readonly isCurrent: boolean;
}

export interface WantedTransfer {
  readonly from: string;
  readonly to: string;
  readonly amount: bigint;
  /** Null for the next one. */
  readonly number: number | null;
}

export interface TransferSubmission extends Submission {
  readonly number: number;
  /** What became of it once it was final. Rejects where `finalized` does. */
  readonly outcome: Promise<TransferOutcome>;
}

export type TransferOutcome =
  | { readonly kind: "applied" }
  | { readonly kind: "waiting" | "rejected"; readonly reason: string };

/** What an operator may see and decide about peers. A ban is this node's own: it removes no validator from the set. */
export interface PeerControl {
  /** Every peer of which this node has an opinion, connected or not, and these, in ascending order of node id. */
  reports(also: readonly NodeId[]): readonly PeerReport[];
  report(peer: NodeId): PeerReport;
  /** Ends the connection and refuses new ones, in both directions. Resolves when the ban is on disk. */
  ban(peer: NodeId, options: { readonly lengthMs: number | null; readonly reason: string }): Promise<PeerReport>;
  /** Ends a ban and makes the score whole. Resolves when that is on disk. */
  unban(peer: NodeId): Promise<PeerReport>;
}

export type PeerState = "good" | "graylisted" | "throttled" | "banned";

export interface PeerReport {
  readonly nodeId: NodeId;
  /** From 1, spotless, down to 0. */
  readonly score: number;
  readonly state: PeerState;
  /** Violations by type since this process started. */
  readonly violations: Readonly<Record<string, number>>;
  readonly ban: BanView | null;
}

export interface BanView {
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  /** Null: until an operator lifts it. */
  readonly untilMs: number | null;
  readonly reason: string;
  readonly by: "operator" | "automatic";
}

export interface Submission {
  /** The hashes of the vertices, in the order of the payloads. */
  readonly accepted: Promise<readonly Hash[]>;
  readonly finalized: Promise<readonly FinalizedReceipt[]>;
}

export interface FinalizedReceipt {
  readonly hash: Hash;
  /** The vertex's place in the order of `NodeService.finalized`, from 1. */
  readonly sequence: number;
  /** From acceptance at this node to finality, in milliseconds; null where another node or an earlier run accepted it. */
  readonly finalityMs: number | null;
}

export interface VertexView {
  readonly hash: Hash;
  readonly creator: NodeId;
  readonly nonce: number;
  readonly timestampMs: number;
  readonly parents: readonly Hash[];
  readonly payload: Uint8Array;
  readonly finalized: boolean;
  readonly state: VertexState;
  /** In a leaderless network, how sure the polls about the vertex are or were, 0 to 1; null where none is known. */
  readonly confidence: number | null;
  /** Null unless final; in a leaderless network this node's own order of acceptance, which differs from node to node. */
  readonly sequence: number | null;
  readonly height: number | null;
}

/** `rejected`: another vertex won its conflict set, for good. */
export type VertexState = "pending" | "finalized" | "rejected";

export interface FinalizedItem {
  readonly sequence: number;
  /** Clients' payloads, or what a validator said about the validator set. */
  readonly purpose: BundlePurpose;
  readonly hash: Hash;
  readonly creator: NodeId;
  readonly payload: Uint8Array;
  /** Milliseconds since 1970; monotone along the order. */
  readonly timestampMs: number;
}

export interface NodeStatus {
  readonly nodeId: NodeId;
  readonly engine: string;
  readonly alpn: string;
  readonly genesis: Hash;
  readonly role: "validator" | "observer";
  readonly view: number;
  readonly viewActive: boolean;
  readonly leader: NodeId;
  /** Of the validator set; 0 is genesis'. */
  readonly epoch: number;
  readonly validators: number;
  readonly faultTolerance: number;
  readonly quorum: number;
  /** The last vertex's place in the total order; 0 before the first. */
  readonly lastSequence: number;
  /** PBFT's sequence number of the last executed batch, and of the last stable checkpoint. */
  readonly lastBatch: number;
  readonly stableCheckpoint: number;
  /** Vertices accepted here or by peers that are not final yet. */
  readonly pending: number;
  readonly peers: number;
  readonly uptimeMs: number;
  /** How a leaderless engine stands; null where a leader orders. */
  readonly dag: DagStatus | null;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, in words for an operator; empty when ready. */
  readonly reasons: readonly string[];
}

export interface ValidatorView {
  readonly index: number;
  readonly nodeId: NodeId;
  readonly name: string;
  readonly isLeader: boolean;
  readonly isSelf: boolean;
  readonly connected: boolean;
}

export interface MembershipView {
  /** The one that goes on; 0 is genesis'. */
  readonly epoch: number;
  /** PBFT's sequence number of the batch that ended the epoch before; 0 in the first. */
  readonly afterBatch: number;
  readonly policy: MembershipPolicy;
  /** Validators that are active now. */
  readonly active: number;
  readonly faultTolerance: number;
  readonly quorum: number;
  /** Every node that was ever admitted, by index. */
  readonly members: readonly MemberView[];
  /** Changes that some validators approved of and a quorum did not yet. */
  readonly pending: readonly PendingView[];
}

export interface MemberView {
  readonly index: number;
  readonly nodeId: NodeId;
  readonly name: string;
  /** Empty where neither the genesis file nor the order tells it. */
  readonly address: string;
  readonly standing: Standing;
  /** Why it loses its place as soon as the minimum allows it; null where it does not. */
  readonly condemned: RemovalCause | null;
  /** What a quorum last held of it, 0 to 1,000,000. */
  readonly reputationPpm: number;
  readonly activeSinceEpoch: number | null;
  readonly lastActiveEpoch: number | null;
  /** Its place among those that wait for one, from 1; null where it does not wait. */
  readonly waiting: number | null;
  readonly isSelf: boolean;
}

export interface PendingView {
  readonly kind: "admit" | "dismiss";
  readonly nodeId: NodeId;
  readonly name: string;
  readonly address: string;
  /** Who approved, by node id; `needed` of those that are active make it happen. */
  readonly approvals: readonly NodeId[];
  readonly needed: number;
}

/**
 * A change that this node's operator wants. At the minimum a removal waits for a successor; where that is not meant
 * (`waitForSuccessor` false) it is refused at once.
 */
export type ProposedChange =
  | { readonly kind: "admit"; readonly candidate: Candidate }
  | { readonly kind: "dismiss"; readonly nodeId: NodeId; readonly waitForSuccessor: boolean }
  | { readonly kind: "leave"; readonly waitForSuccessor: boolean };

export interface ProposalOutcome {
  readonly kind: ProposedChange["kind"];
  /** "applied": it is carried out; "noted": more approvals are needed; "ignored": it changed nothing, see `reason`. */
  readonly result: "applied" | "noted" | "ignored";
  readonly reason: string;
  /** PBFT's sequence number of the batch that ordered it. */
  readonly batch: number;
  /** The epoch after that batch. */
  readonly epoch: number;
}

export type NodeEvent =
  /** Vertices of this node's clients, durable and on their way to the others. */
  | { readonly kind: "proposed"; readonly items: readonly ProposedItem[] }
  /** Vertices that took their places; ascending, without gaps from event to event. */
  | { readonly kind: "finalized"; readonly items: readonly FinalizedItem[] }
  /** Vertices that lost their conflict sets, for good; in leaderless networks only. */
  | { readonly kind: "rejected"; readonly items: readonly RejectedItem[] }
  /** `ValidatorSetChanged`: another epoch begins with this set, after this batch (PBFT's sequence number). */
  | { readonly kind: "validators"; readonly changed: ValidatorSetChanged; readonly afterBatch: number };

export interface ProposedItem {
  readonly hash: Hash;
  readonly creator: NodeId;
  readonly payload: Uint8Array;
  readonly timestampMs: number;
}

export interface RejectedItem {
  readonly hash: Hash;
  readonly creator: NodeId;
  /** The final vertex that won; null where the whole bundle lost its place. */
  readonly winner: Hash | null;
}

export type NodeErrorCode =
  | "conflict"
  | "overloaded"
  | "not-ready"
  | "payload-too-large"
  | "payload-empty"
  | "batch-too-large"
  | "timeout"
  | "stopping"
  | "storage-failed"
  | "observer"
  | "malformed-candidate"
  | "unknown-validator"
  | "not-applicable"
  | "at-minimum"
  | "conflict-keys-refused"
  | "malformed-keys"
  | "transfers-only"
  | "malformed-transfer"
  | "not-owner"
  | "number-used"
  | "insufficient-balance"
  | "commands-only"
  | "number-forgotten"
  | "malformed-question"
  | "query-refused"
  | "too-old"
  | "not-provable"
  | "commands-only";

/** A refusal at the node's edge: what was wrong, and what to do. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly code: NodeErrorCode;
  /** After how long a retry makes sense, in milliseconds; null where none does. */
  readonly retryAfterMs: number | null;

  constructor(code: NodeErrorCode, message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}
