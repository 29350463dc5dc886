import type { Batch } from "../dag/batch.ts";
import type { DagEffect, DagEvent, DagView } from "./dag-engine.ts";
import type { BundleRef } from "../dag/bundle.ts";
import type { LaneTip } from "../dag/lanes.ts";
import type { Branded } from "../lib/brand.ts";
import type { Hash } from "../lib/hash.ts";
import type { Certificate, Obligation } from "../membership/certificate.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Epoch, Sequence, ValidatorIndex, View } from "../membership/ids.ts";
import type { Proof, Signed } from "../membership/seal.ts";
import type { Statement } from "../membership/statement.ts";

/**
 * The contract of every consensus engine: a pure state machine, `step(event) -> effects` (as etcd/raft's `Ready` and
 * TigerBeetle's replica). No clock, socket, promise or randomness inside; the same state and event give the same effects,
 * byte for byte. The node's loop performs the effects; a simulator performs them in a virtual world.
 */
export interface Engine<M> {
  readonly name: string;
  readonly wire: EngineWire<M>;
  step(event: EngineEvent<M>): readonly Effect<M>[];
  /** A cheap look before the signature is checked: a flood of garbage must not buy signature checks. */
  screen(from: ValidatorIndex, message: M): Verdict;
  status(): EngineStatus;
  /** The content of a proposal that is still open here, for peers that ask. */
  batchOf(digest: Hash): Batch | undefined;
  /** What a leaderless engine decides beside the log; null where there is but the log. */
  readonly dag: DagView | null;
}

/** What the loop must know of an engine's messages to carry, sign and verify them. */
export interface EngineWire<M> {
  encode(message: M): Uint8Array;
  /** @throws DecodeError */
  decode(bytes: Uint8Array): M;
  /** What the signer of this message says. */
  statementOf(message: M): Statement;
  /** The signature checks for what the message carries inside, without its own; null where its shape is wrong. */
  obligationsOf(message: M): readonly Obligation[] | null;
}

/** Only the verifier mints these: every signature on and inside the message was checked, and its shape. */
export type Verified<T> = T & Branded<object, "Verified">;

export type Verdict =
  | { readonly kind: "accept" }
  /** Correct peers send such things too: late, early, twice. */
  | { readonly kind: "ignore"; readonly reason: string }
  /** No correct peer sends this. */
  | { readonly kind: "reject"; readonly reason: string };

export type TimerName = "progress" | "new-view" | "resend" | "poll" | "patience";

/** One place of the log with the proof that a quorum committed it; what catch-up hands over. */
export interface CommittedSlot {
  readonly sequence: Sequence;
  readonly batch: Batch;
  readonly certificate: CommitCertificate;
}

export interface CommitCertificate {
  /** Whose votes these are: votes of two epochs never count together. */
  readonly epoch: Epoch;
  readonly view: View;
  readonly digest: Hash;
  readonly proofs: readonly Proof[];
}

/** That a quorum executed up to `sequence` and came to the same state. */
export interface CheckpointCertificate {
  readonly epoch: Epoch;
  readonly sequence: Sequence;
  readonly stateDigest: Hash;
  readonly proofs: readonly Proof[];
}

/** What a peer says of itself, unsigned, over its authenticated connection: a hint that moves work, never a vote. */
export interface PeerStatus {
  readonly view: View;
  /** False while it changes views. */
  readonly active: boolean;
  readonly executed: Sequence;
  readonly stable: Sequence;
}

/** `nowMs` is a monotonic clock's, except where a name says wall. */
export type EngineEvent<M> =
  | { readonly kind: "start"; readonly nowMs: number }
  | {
      readonly kind: "message";
      readonly nowMs: number;
      readonly wallMs: number;
      readonly signed: Verified<Signed<M>>;
    }
  /** Bodies of bundles are held, and will be durable before anything that this step sends leaves. */
  | { readonly kind: "bundles"; readonly nowMs: number; readonly wallMs: number; readonly refs: readonly BundleRef[] }
  /** The content of proposals that were fetched by digest. */
  | { readonly kind: "batches"; readonly nowMs: number; readonly wallMs: number; readonly batches: readonly Batch[] }
  | { readonly kind: "timer"; readonly nowMs: number; readonly wallMs: number; readonly name: TimerName }
  /** The answer to `finalize`, in the same order. */
  | {
      readonly kind: "executed";
      readonly nowMs: number;
      readonly wallMs: number;
      readonly sequence: Sequence;
      readonly stateDigest: Hash;
      readonly lanes: readonly LaneTip[];
    }
  | { readonly kind: "peer-status"; readonly nowMs: number; readonly from: ValidatorIndex; readonly status: PeerStatus }
  | { readonly kind: "peer-connected"; readonly nowMs: number; readonly peer: ValidatorIndex }
  /** Committed places that a peer handed over; every certificate in it was verified. */
  | {
      readonly kind: "synced";
      readonly nowMs: number;
      readonly wallMs: number;
      readonly from: ValidatorIndex;
      readonly slots: Verified<readonly CommittedSlot[]>;
      readonly checkpoint: Verified<CheckpointCertificate> | null;
    }
  | { readonly kind: "sync-failed"; readonly nowMs: number; readonly from: ValidatorIndex }
  | DagEvent;

/**
 * In order. `persist` is a barrier: whatever follows it in the list, or in the lists of later steps, may leave the node
 * only when it is durable.
 */
export type Effect<M> =
  | { readonly kind: "persist"; readonly writes: readonly DurableWrite[] }
  /** Sign and send to every other validator, and hand it to this engine as a message of its own. */
  | { readonly kind: "broadcast"; readonly message: M }
  /** Sign and send to one. */
  | { readonly kind: "send"; readonly to: ValidatorIndex; readonly message: M }
  /** Sign once and send to several, others than this node. */
  | { readonly kind: "multicast"; readonly to: readonly ValidatorIndex[]; readonly message: M }
  /** Pass on another's signed message as it is. */
  | { readonly kind: "relay"; readonly to: ValidatorIndex; readonly signed: Signed<M> }
  | { readonly kind: "status"; readonly to: ValidatorIndex | "all"; readonly status: PeerStatus }
  | { readonly kind: "set-timer"; readonly name: TimerName; readonly atMs: number }
  | { readonly kind: "cancel-timer"; readonly name: TimerName }
  /** Execute; sequences come one after the other without gaps. */
  | { readonly kind: "finalize"; readonly slot: CommittedSlot }
  | { readonly kind: "checkpoint"; readonly certificate: CheckpointCertificate }
  | { readonly kind: "fetch-bundles"; readonly digests: readonly Hash[]; readonly from: readonly ValidatorIndex[] }
  | { readonly kind: "fetch-batches"; readonly digests: readonly Hash[]; readonly from: readonly ValidatorIndex[] }
  /** Send held bundles to the leader, who seems not to have them. */
  | { readonly kind: "offer-bundles"; readonly digests: readonly Hash[]; readonly to: ValidatorIndex }
  | { readonly kind: "sync"; readonly from: ValidatorIndex; readonly fromSequence: Sequence }
  | { readonly kind: "evidence"; readonly equivocation: Equivocation }
  /** A validator voted for a checkpoint with another state than a quorum has: it lies, or its execution is broken. */
  | { readonly kind: "divergence"; readonly signer: ValidatorIndex; readonly sequence: Sequence }
  | DagEffect
  | { readonly kind: "trace"; readonly trace: Trace };

/** A row of the engine's own durable state; a null value deletes. */
export interface DurableWrite {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** What happened, for spans, metrics, golden transcripts and the simulator's checkers. */
export interface Trace {
  readonly phase:
    | "propose"
    | "pre-prepare"
    | "prepare"
    | "prepared"
    | "commit"
    | "committed"
    | "execute"
    | "checkpoint-stable"
    | "view-change"
    | "new-view"
    | "discard"
    | "poll"
    | "polled"
    | "accept"
    | "certified"
    | "final"
    | "partition"
    | "resolve";
  readonly view: View;
  readonly sequence: Sequence;
  readonly detail: string;
  /** Whose doing it is, where one validator's. */
  readonly by?: ValidatorIndex;
  /** How long it took, in the engine's clock, where the phase ends something. */
  readonly durationMs?: number;
}

export interface EngineStatus {
  readonly view: View;
  /** False while a view change is under way: nothing new is voted on. */
  readonly active: boolean;
  readonly leader: ValidatorIndex;
  readonly executed: Sequence;
  readonly stable: Sequence;
  /** Distinct validators that committed to the newest executed place, over n. */
  readonly participation: number;
  /** The present time-out of a leader without progress, in milliseconds. */
  readonly timeoutMs: number;
}

/** The statement that a commit certificate is about. */
export function commitStatement(slot: CommittedSlot): Statement {
  const { view, digest } = slot.certificate;
  return { phase: "commit", view, sequence: slot.sequence, digest };
}

export function commitCertificateOf(slot: CommittedSlot): Certificate {
  return { statement: commitStatement(slot), proofs: slot.certificate.proofs };
}

export function checkpointCertificateOf(checkpoint: CheckpointCertificate): Certificate {
  const { sequence, stateDigest, proofs } = checkpoint;
  return { statement: { phase: "checkpoint", view: 0, sequence, digest: stateDigest }, proofs };
}
