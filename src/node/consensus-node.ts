import { StateDivergence } from "../consensus/checkpoint.ts";
import type { CommittedSlot } from "../consensus/engine.ts";
import { Lanes } from "../dag/lanes.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { ValidatorSetChanged } from "../membership/membership-state.ts";
import type { Execution } from "../replication/executor.ts";
import { BundlePool } from "./bundle-pool.ts";
import { agreedChange, changeRefusal } from "./change-refusal.ts";
import { type DagDesk, openDesk } from "./dag-desk.ts";
import { type OpenedDag, openDag } from "./dag-restore.ts";
import { engineMaker, type NodeMessage } from "./engines.ts";
import { beforeDeadline } from "./deadline.ts";
import { Epochs, ownDagOf, setsBefore } from "./epochs.ts";
import { EventFeed } from "./event-feed.ts";
import type { FinalityProofs } from "./finality-proofs.ts";
import { Ledger, type StoredBundle } from "./ledger.ts";
import { NodeLoop } from "./loop.ts";
import { type LocalKnowledge, membershipView, type OrderedMembership, validatorViews } from "./membership-view.ts";
import { openProofs } from "./open-proofs.ts";
import type { PeerInfo } from "./ports.ts";
import { Proposals } from "./proposals.ts";
import type { NodeParts } from "./node-parts.ts";
import { NO_ENTROPY } from "./random-source.ts";
import { Reader } from "./reader.ts";
import { connectedIn, readinessOf } from "./readiness.ts";
import { type Restored, restoreNode } from "./restore.ts";
import {
  type FinalizedItem,
  type FinalizedReceipt,
  type MembershipView,
  NodeError,
  type NodeEvent,
  type NodeService,
  type NodeStatus,
  type ProposalOutcome,
  type ProposedChange,
  type Readiness,
  type Submission,
  type ValidatorView,
  type VertexView,
} from "./service.ts";
import { recordDivergence } from "./transfer/recovery.ts";
import { StateOffers } from "./transfer/state-offers.ts";
import { observerError, refusedSubmission, submissionRefusal } from "./submission-refusal.ts";

/** How long a client should wait for a node that cannot reach a quorum. */
const NOT_READY_RETRY_MS = 1_000;

/** Judging takes minutes; a report costs every node a bundle. */
const REPORT_INTERVAL_MS = 60_000;

/** One node: the loop with its state restored, behind the service interface. */
export class ConsensusNode implements NodeService {
  readonly proofs: FinalityProofs;
  readonly #parts: NodeParts;
  readonly #loop: NodeLoop<NodeMessage>;
  readonly #epochs: Epochs<NodeMessage>;
  readonly #pool: BundlePool;
  readonly #reader: Reader;
  readonly #feed: EventFeed;
  /** Null in a network that orders everything. */
  readonly #desk: DagDesk | null;
  readonly #proposals: Proposals;
  readonly #local: LocalKnowledge;
  readonly #waiting: readonly StoredBundle[];
  readonly #startedAtMs: number;
  #lastPosition: number;
  #ordered: OrderedMembership;
  #stopping = false;
  #failed = false;

  private constructor(
    parts: NodeParts,
    state: {
      readonly epochs: Epochs<NodeMessage>;
      readonly lanes: Lanes;
      readonly ledger: Ledger;
      readonly restored: Restored;
      readonly dag: OpenedDag | null;
    },
  ) {
    this.#parts = parts;
    const { epochs, lanes, ledger, restored } = state;
    const { observer, clock } = parts;
    const { network } = epochs;
    this.#epochs = epochs;
    this.#pool = new BundlePool(ledger);
    for (const stored of restored.waiting) this.#pool.add(stored);
    this.#reader = new Reader(network, ledger, this.#pool);
    this.#feed = new EventFeed(network, observer.log);
    this.#desk = state.dag === null ? null : openDesk(state.dag, { epochs, feed: this.#feed, observer, clock });
    this.#waiting = restored.waiting;
    this.#lastPosition = restored.execution.position;
    this.#ordered = { state: restored.membership, epochBase: restored.execution.epochBase };
    this.#local = { self: parts.nodeId, first: parts.network.set, addresses: parts.addresses ?? new Map() };
    this.#startedAtMs = parts.clock.monotonicMs();
    const { execution } = restored;
    const onFailure = (error: unknown): void => this.#fail(error);
    this.proofs = openProofs({ ...parts, onFailure }, { epochs, ledger, dag: state.dag, desk: this.#desk, execution });
    this.#loop = new NodeLoop<NodeMessage>({
      ...parts,
      epochs,
      lanes,
      ledger,
      pool: this.#pool,
      entropy: parts.entropy ?? NO_ENTROPY,
      dag: this.#desk?.parts(parts.application ?? null) ?? null,
      observations: () => parts.observations?.() ?? null,
      inspect: (peer, lane, frame) => parts.inspect?.(peer, lane, frame),
      reportIntervalMs: parts.reportIntervalMs ?? REPORT_INTERVAL_MS,
      replication: parts.replication ?? null,
      execution,
      resolution: restored.resolution,
      checkpoint: restored.checkpoint,
      proofs: this.proofs.states,
      offers: new StateOffers(parts.database),
      gap: parts.joinGap ?? 0,
      learnKeys: (validators) => parts.learnKeys?.(validators),
      remembered: { vote: restored.lastVote, view: restored.lastView, silence: restored.silence },
      onExecuted: (execution, slot, bundles) => this.#onExecuted(execution, slot, bundles),
      onMembers: (changed) => parts.onMembership?.(this.#epochs.membership, changed),
      onEpoch: (changed) => this.#onEpoch(changed),
      onProposed: (stored) => this.#onProposed(stored),
      onFatal: (error) => this.#fail(error),
    });
    this.#proposals = new Proposals({ clock: parts.clock, say: (command) => this.#loop.command(command) });
  }

  /** Reads the disk back. @throws NodeError `storage-failed` */
  static async open(parts: NodeParts): Promise<ConsensusNode> {
    const { nodeId, engine = "pbft" } = parts;
    const { genesis } = parts.network;
    const ledger = new Ledger(parts.database, parts.network, engine === "avalanche");
    const application = parts.replication?.firstRoot ?? null;
    const restored = await restoreNode(ledger, { genesis, first: parts.membership, nodeId, application, engine });
    const { network, membership, execution, ownTip } = restored;
    await parts.replication?.restore({ network, ledger, database: parts.database }, execution);
    const lanes = new Lanes(network, execution.lanes);
    const dag = engine === "avalanche" ? await openDag(parts, network) : null;
    const epochs = new Epochs<NodeMessage>({
      network,
      nodeId,
      membership,
      lanes,
      ownTip,
      ownDag: ownDagOf(dag, network.set.indexOf(nodeId)),
      begin: {
        base: execution.epochBase,
        executed: execution.sequence,
        rows: restored.engineRows,
        dag: dag?.restored.engine ?? null,
        ...setsBefore(await ledger.loadPreviousMembership()),
      },
      makeEngine: engineMaker(parts, lanes),
    });
    ledger.follow(epochs.network);
    dag?.ledger.follow(epochs.network);
    parts.onMembership?.(membership, null);
    return new ConsensusNode(parts, { epochs, lanes, ledger, restored, dag });
  }

  /** Binds the socket and begins to take part. */
  async start(): Promise<void> {
    await this.#parts.transport.start(this.#loop);
    this.#loop.start(this.#waiting);
    this.proofs.start();
  }

  /** Takes nothing in any more, lets what is under way become durable, and leaves the network. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.proofs.stop();
    await this.#loop.stop();
    const stopping = new NodeError("stopping", "this node is stopping; ask another node, or this one later");
    this.#epochs.failAll(stopping);
    this.#proposals.failAll(stopping);
    await this.#parts.transport.close();
  }

  submit(payloads: readonly Uint8Array[]): Submission {
    const refusal = this.#refusal(payloads);
    const lane = this.#epochs.dagLane ?? this.#epochs.ownLane;
    if (refusal !== null || lane === null) return refusedSubmission(refusal ?? observerError());
    const submission = lane.submit(payloads, this.#parts.clock.monotonicMs());
    this.#loop.wake();
    return submission;
  }

  async whenFinalized(hash: Hash, { timeoutMs }: { readonly timeoutMs: number }): Promise<FinalizedReceipt | null> {
    const waiting = this.#feed.waitFor(hash);
    try {
      const vertex = await this.vertex(hash);
      if (vertex === null) return null;
      if (vertex.state === "rejected") throw (await this.#desk?.conflictOf(hash)) ?? observerError();
      if (vertex.sequence !== null) return { hash, sequence: vertex.sequence, finalityMs: null };
      return await beforeDeadline(this.#parts.clock, waiting.receipt, timeoutMs);
    } finally {
      waiting.cancel();
    }
  }

  async vertex(hash: Hash): Promise<VertexView | null> {
    return (await this.#desk?.vertex(hash)) ?? (await this.#reader.vertex(hash));
  }

  async finalized(range: { readonly from: number; readonly limit: number }): Promise<readonly FinalizedItem[]> {
    return (await this.#desk?.finalized(range)) ?? (await this.#reader.finalized(range, this.#lastPosition));
  }

  status(): NodeStatus {
    const { nodeId, transport, alpn, clock } = this.#parts;
    const { network } = this.#epochs;
    const engine = this.#epochs.engine.status();
    return {
      nodeId,
      engine: this.#epochs.engine.name,
      alpn,
      genesis: network.genesis,
      role: network.set.indexOf(nodeId) === null ? "observer" : "validator",
      view: engine.view,
      viewActive: engine.active,
      leader: network.set.at(engine.leader).nodeId,
      epoch: network.set.epoch,
      validators: network.set.size,
      faultTolerance: network.set.faultTolerance,
      quorum: network.set.quorum,
      lastSequence: this.#desk?.lastPosition ?? this.#lastPosition,
      lastBatch: engine.executed,
      stableCheckpoint: engine.stable,
      pending: this.#pool.pending() + (this.#epochs.ownLane?.queued ?? 0) + (this.#desk?.pending() ?? 0),
      peers: transport.peers().length,
      uptimeMs: Math.round(clock.monotonicMs() - this.#startedAtMs),
      dag: this.#epochs.engine.dag?.status() ?? null,
    };
  }

  /** The share of validators that committed to the newest place. */
  participation(): number {
    return this.#epochs.engine.status().participation;
  }

  readiness(): Readiness {
    const { engine, network } = this.#epochs;
    return readinessOf({
      failed: this.#failed,
      stopping: this.#stopping,
      connected: this.#connectedValidators(),
      set: network.set,
      silence: this.#loop.silence,
      engine,
    });
  }

  peers(): readonly PeerInfo[] {
    return this.#parts.transport.peers();
  }

  validators(): readonly ValidatorView[] {
    const connected = new Set(this.peers().map((peer) => peer.nodeId));
    const { leader } = this.#epochs.engine.status();
    return validatorViews(this.#epochs.network.set, this.#local, { leader, connected });
  }

  membership(): MembershipView {
    return membershipView(this.#ordered, this.#local);
  }

  async propose(change: ProposedChange): Promise<ProposalOutcome> {
    const refusal = this.#unfit() ?? this.#mute() ?? this.#changeRefusal(change);
    if (refusal !== null) throw refusal;
    const { addresses } = this.#local;
    return await this.#proposals.propose(agreedChange({ state: this.#ordered.state, addresses }, change));
  }

  #changeRefusal(change: ProposedChange): NodeError | null {
    const { network, nodeId: self } = this.#parts;
    return changeRefusal({ network: this.#epochs.network, first: network, state: this.#ordered.state, self }, change);
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    return this.#feed.subscribe(listener);
  }

  #refusal(payloads: readonly Uint8Array[]): NodeError | null {
    const { limits } = this.#parts;
    const unfit = this.#unfit();
    if (unfit !== null || this.#epochs.ownLane === null) return unfit ?? observerError();
    const self = present(this.#epochs.network.set.indexOf(this.#parts.nodeId), "this validator's index");
    const waiting = this.#desk?.waitingOf(self) ?? {
      vertices: this.#pool.pendingOf(self) + this.#epochs.ownLane.pending,
      bytes: this.#pool.pendingBytesOf(self) + this.#epochs.ownLane.queuedBytes,
    };
    const leaderlessSize = this.#desk === null ? null : this.#epochs.network.set.size;
    const refusal = submissionRefusal(payloads, limits, { ...waiting, leaderlessSize });
    if (refusal !== null) return refusal;
    // Both halves of a partition go on accepting vertices, and finalize none (document 2, 4.6).
    return this.#desk === null ? this.#mute() : this.#silent();
  }

  /** Why this node takes no word of its operator or its clients at all; null where it does. */
  #unfit(): NodeError | null {
    if (this.#stopping || this.#failed) return new NodeError("stopping", "this node is stopping; ask another node");
    return this.#epochs.ownLane === null ? observerError() : null;
  }

  /** Why nothing that this node says would be ordered now; null where it would. */
  #mute(): NodeError | null {
    if (this.#connectedValidators() >= this.#epochs.network.set.quorum && this.#loop.silence === null) return null;
    const reasons = this.readiness().reasons.join("; ");
    return new NodeError("not-ready", `this node cannot finalize now: ${reasons}`, {
      retryAfterMs: NOT_READY_RETRY_MS,
    });
  }

  /** Why this node takes nothing in that it could not say itself; null where it does. */
  #silent(): NodeError | null {
    const { silence } = this.#loop;
    if (silence === null) return null;
    const why = `this node cannot say anything now: ${silence}`;
    return new NodeError("not-ready", why, { retryAfterMs: NOT_READY_RETRY_MS });
  }

  #connectedValidators(): number {
    return connectedIn(this.#epochs.network.set, this.#parts.nodeId, this.peers());
  }

  #onEpoch(changed: ValidatorSetChanged): void {
    const afterBatch = this.#ordered.epochBase;
    this.#parts.observer.log("info", "validators.changed", { ...changed, afterBatch });
    this.#feed.onValidators(changed, afterBatch);
    if (this.#epochs.ownLane === null) this.#proposals.failAll(observerError());
  }

  #onProposed(stored: StoredBundle): void {
    if (stored.held.ref.purpose === "dag") this.#epochs.dagLane?.onDurable(stored.held);
    else this.#epochs.ownLane?.onDurable(stored.held);
    this.#parts.observer.onProposed(stored.held.ref.count);
    this.#feed.onProposed(stored);
  }

  #onExecuted(execution: Execution, _slot: CommittedSlot, bundles: readonly StoredBundle[]): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#lastPosition = execution.state.position;
    this.#ordered = { state: execution.membership, epochBase: execution.state.epochBase };
    this.#proposals.onExecuted(execution, bundles, this.#epochs.network.set.placeOf(this.#parts.nodeId));
    let vertices = 0;
    execution.executed.forEach(({ firstPosition, ref }, index) => {
      const { held } = present(bundles[index], "an executed bundle");
      vertices += ref.count;
      const finality = this.#epochs.ownLane?.onFinalized(held, firstPosition, nowMs) ?? [];
      for (const { vertices: count, finalityMs } of finality) this.#parts.observer.onFinality(count, finalityMs);
    });
    // Beside a DAG the log has control words alone, which are not of the clients' feed.
    if (this.#desk !== null) return;
    this.#parts.observer.onFinalized(vertices, execution.executed.length);
    this.#feed.onFinalized(execution, bundles);
  }

  #fail(error: unknown): void {
    this.#failed = true;
    const cause = error instanceof Error ? error : new Error(String(error));
    const failed = new NodeError("storage-failed", "the node failed and stops", { cause });
    this.#epochs.failAll(failed);
    this.#proposals.failAll(failed);
    // Closing the database waits for it; a disk that fails now says so by itself.
    if (error instanceof StateDivergence) recordDivergence(this.#parts.database, error).catch(() => undefined);
    this.#parts.onFatal(error);
  }
}
