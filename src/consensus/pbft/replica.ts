import { type Batch, batchDigest, NULL_BATCH } from "../../dag/batch.ts";
import type { Lanes } from "../../dag/lanes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Sequence, ValidatorIndex, View } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { NetworkContext, ValidatorSet } from "../../membership/validator-set.ts";
import type { CheckpointCertificate, Effect, PeerStatus, TimerName, Trace, Verified } from "../engine.ts";
import type { Statement } from "../../membership/statement.ts";
import { Contradictions } from "./contradictions.ts";
import type { Windows } from "./limits.ts";
import type { NewView, PbftMessage, ViewChange } from "./messages.ts";
import { NULL_DIGEST } from "./new-view.ts";
import { Slot } from "./slot.ts";
import type { AdaptiveTimeout } from "../adaptive-timeout.ts";

export interface CheckpointVote {
  readonly stateDigest: Hash;
  readonly proof: Proof;
}

/**
 * One replica's state, shared by the modules of this folder (normal case, checkpoints, view changes, catch-up), and the
 * list of effects of the step under way.
 */
export class Replica {
  readonly network: NetworkContext;
  /** Null for an observer, which follows and never votes. */
  readonly self: ValidatorIndex | null;
  readonly lanes: Lanes;
  readonly timeout: AdaptiveTimeout;
  readonly windows: Windows;
  /** The last sequence of the epoch before; 0 in the first. Every correct replica of this epoch executed up to it. */
  readonly base: Sequence;

  /** Invariant: never decreases. */
  view: View = 0 as View;
  /** False from the moment this replica asks for `view` until it has that view's new-view message. */
  active = true;
  /** h, with its proof; null is the epoch's begin. Invariant: its sequence never decreases. */
  stable: CheckpointCertificate | null = null;
  /** Handed over for execution so far. Invariant: executed <= finalizing <= executed + what one step hands over. */
  finalizing: Sequence;
  executed: Sequence;
  /** The leader's next free sequence. Invariant: no proposal of this replica in this view has this sequence or more. */
  nextSequence: Sequence;
  /** The largest timestamp that this leader proposed or saw. */
  timestampMs = 0;

  readonly slots: Map<Sequence, Slot> = new Map();
  readonly batches: Map<Hash, Batch> = new Map([[NULL_DIGEST, NULL_BATCH]]);
  /** What this view's new-view message obliges the leader to propose. */
  assigned: ReadonlyMap<Sequence, Hash> = new Map();
  /** min-s of this view's new-view message: what is not above it is settled, and nothing for it is voted on here. */
  floor: Sequence;

  readonly checkpointVotes: Map<Sequence, Map<ValidatorIndex, CheckpointVote>> = new Map();
  readonly ownStates: Map<Sequence, Hash> = new Map();
  /** A proven checkpoint that this replica has not executed up to. */
  ahead: CheckpointCertificate | null = null;

  /** Stray votes that were shown to others in this view, by signer: a liar must not buy a relay to all with each vote. */
  readonly strayShown: Map<ValidatorIndex, number> = new Map();
  readonly contradictions: Contradictions = new Contradictions();
  readonly viewChanges: Map<ValidatorIndex, Signed<ViewChange>> = new Map();
  /** Since when each other replica asks for a view above this one, while this one is active; see joining.ts. */
  readonly wishes: Map<ValidatorIndex, number> = new Map();
  /** When each was last given way to, and after how long it may be again. */
  readonly favours: Map<ValidatorIndex, { readonly atMs: number; readonly intervalMs: number }> = new Map();
  ownViewChange: ViewChange | null = null;
  ownNewView: NewView | null = null;
  newView: Signed<NewView> | null = null;
  readonly early: Map<ValidatorIndex, Verified<Signed<PbftMessage>>[]> = new Map();

  readonly peers: Map<ValidatorIndex, PeerStatus> = new Map();
  syncing: { readonly from: ValidatorIndex; readonly until: Sequence | null } | null = null;
  /** Peers that did not deliver what they claimed to have; asked again only when nobody else is ahead. */
  readonly syncFailed: Set<ValidatorIndex> = new Set();
  /** A leader's time never counts from before this: a new view, this node's start, or its own lag. */
  patientSinceMs = 0;
  /** Whether the last time that a leader's time ran out was passed over because this process had stood still. */
  overslept = false;
  /** Whether anything was executed since the last look of the resend timer. */
  progressed = false;
  /** How many validators committed to the newest executed place, kept while that place itself is forgotten. */
  committers = 0;
  started = false;
  readonly timers: Map<TimerName, number> = new Map();

  #out: Effect<PbftMessage>[] = [];

  constructor(options: {
    readonly network: NetworkContext;
    readonly self: ValidatorIndex | null;
    readonly lanes: Lanes;
    readonly timeout: AdaptiveTimeout;
    readonly windows: Windows;
    readonly executed: Sequence;
    readonly base: Sequence;
  }) {
    this.base = options.base;
    this.floor = options.base;
    this.network = options.network;
    this.self = options.self;
    this.lanes = options.lanes;
    this.timeout = options.timeout;
    this.windows = options.windows;
    this.executed = options.executed;
    this.finalizing = options.executed;
    this.nextSequence = (options.executed + 1) as Sequence;
  }

  get set(): ValidatorSet {
    return this.network.set;
  }

  get leader(): ValidatorIndex {
    return this.set.leaderOf(this.view);
  }

  get leads(): boolean {
    return this.self !== null && this.leader === this.self;
  }

  /** h: the sequence of the stable checkpoint. */
  get low(): Sequence {
    return this.stable?.sequence ?? this.base;
  }

  inReceiveWindow(sequence: Sequence): boolean {
    return sequence > this.low && sequence <= this.low + this.windows.receiveWindow;
  }

  slot(sequence: Sequence): Slot {
    const known = this.slots.get(sequence);
    if (known !== undefined) return known;
    const slot = new Slot(sequence);
    this.slots.set(sequence, slot);
    return slot;
  }

  /** Open slots, ascending: what is iterated is part of the protocol. */
  sortedSlots(): readonly Slot[] {
    return [...this.slots.values()].sort((left, right) => left.sequence - right.sequence);
  }

  learnBatch(batch: Batch): Hash {
    const digest = batchDigest(batch);
    this.batches.set(digest, batch);
    return digest;
  }

  status(): PeerStatus {
    return { view: this.view, active: this.active, executed: this.executed, stable: this.low };
  }

  /** Whether two statements of one validator contradict each other is looked at wherever one is learned. */
  learnStatement(statement: Statement, proof: Proof): void {
    const equivocation = this.contradictions.learn(statement, proof);
    if (equivocation !== null) this.emit({ kind: "evidence", equivocation });
  }

  emit(effect: Effect<PbftMessage>): void {
    this.#out.push(effect);
  }

  /** Says something to all, itself included; an observer has nothing to say. */
  say(message: PbftMessage): void {
    if (this.self !== null) this.emit({ kind: "broadcast", message });
  }

  trace(phase: Trace["phase"], sequence: Sequence, detail = ""): void {
    this.emit({ kind: "trace", trace: { phase, view: this.view, sequence, detail } });
  }

  setTimer(name: TimerName, atMs: number): void {
    if (this.timers.get(name) === atMs) return;
    this.timers.set(name, atMs);
    this.emit({ kind: "set-timer", name, atMs });
  }

  cancelTimer(name: TimerName): void {
    if (this.timers.delete(name)) this.emit({ kind: "cancel-timer", name });
  }

  takeEffects(): readonly Effect<PbftMessage>[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
