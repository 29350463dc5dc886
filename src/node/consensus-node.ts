import type { CommittedSlot, Engine } from "../consensus/engine.ts";
import { NOTHING_RESTORED } from "../consensus/pbft/durable.ts";
import { PbftEngine, type PbftOptions } from "../consensus/pbft/engine.ts";
import type { PbftMessage } from "../consensus/pbft/messages.ts";
import type { TimeoutLimits } from "../consensus/pbft/timeouts.ts";
import { Lanes } from "../dag/lanes.ts";
import type { NodeId } from "../crypto/identity.ts";
import { present } from "../lib/assert.ts";
import type { Hash } from "../lib/hash.ts";
import type { MembershipState, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import type { Execution } from "../replication/executor.ts";
import { BundlePool } from "./bundle-pool.ts";
import { Epochs } from "./epochs.ts";
import { EventFeed } from "./event-feed.ts";
import { Ledger, type StoredBundle } from "./ledger.ts";
import { NodeLoop } from "./loop.ts";
import type { LoopObserver } from "./observer.ts";
import type { Clock, Database, PeerInfo, Signer, Transport, Verifier } from "./ports.ts";
import { Reader } from "./reader.ts";
import type { SeenValidator } from "./reporter.ts";
import { type Restored, restoreNode } from "./restore.ts";
import {
  type FinalizedItem,
  type FinalizedReceipt,
  NodeError,
  type NodeEvent,
  type NodeService,
  type NodeStatus,
  type Readiness,
  type Submission,
  type ValidatorView,
  type VertexView,
} from "./service.ts";

export interface NodeLimits {
  /** Bytes of one vertex's payload. */
  readonly payloadBytesMax: number;
  /** Vertices of this node's clients that may wait for finality. */
  readonly pendingVerticesMax: number;
  /** Payloads of one submission. */
  readonly submissionVerticesMax: number;
}

export interface NodeParts {
  /** The network with the validators of its genesis; how it goes on is on the disk. */
  readonly network: NetworkContext;
  /** The membership at genesis. */
  readonly membership: MembershipState;
  readonly nodeId: NodeId;
  readonly database: Database;
  readonly transport: Transport;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly observer: LoopObserver;
  readonly timeouts: TimeoutLimits;
  readonly limits: NodeLimits;
  readonly alpn: string;
  readonly onFatal: (error: unknown) => void;
  /** The validators that are known now: at the start, and after every change. Keys and addresses follow them. */
  readonly onMembership?: (membership: MembershipState, changed: ValidatorSetChanged | null) => void;
  /** What was seen of the other validators; nothing is reported without. */
  readonly observations?: () => readonly SeenValidator[];
  /** How often to look whether something is to be reported, in milliseconds. Default 60,000. */
  readonly reportIntervalMs?: number;
  /** The engine of an epoch. Default: `PbftEngine`; a simulator puts its liars and its planted faults here. */
  readonly makeEngine?: (options: PbftOptions) => Engine<PbftMessage>;
}

/** Payload bytes of this node's clients that may wait for finality; peers hold as much of one creator. */
const PENDING_BYTES_MAX: number = 64 * 1024 * 1024;

/** How long a client that is refused for load should wait. */
const OVERLOAD_RETRY_MS = 500;

/** How long a client should wait for a node that cannot reach a quorum. */
const NOT_READY_RETRY_MS = 1_000;

/** Judging takes minutes; a report costs every node a bundle. */
const REPORT_INTERVAL_MS = 60_000;

/** One node: the loop with its state restored, behind the service interface. */
export class ConsensusNode implements NodeService {
  readonly #parts: NodeParts;
  readonly #loop: NodeLoop<PbftMessage>;
  readonly #epochs: Epochs<PbftMessage>;
  readonly #pool: BundlePool;
  readonly #reader: Reader;
  readonly #feed: EventFeed;
  readonly #waiting: readonly StoredBundle[];
  readonly #startedAtMs: number;
  #lastPosition: number;
  #stopping = false;
  #failed = false;

  private constructor(
    parts: NodeParts,
    state: {
      readonly epochs: Epochs<PbftMessage>;
      readonly lanes: Lanes;
      readonly ledger: Ledger;
      readonly restored: Restored;
    },
  ) {
    this.#parts = parts;
    const { epochs, lanes, ledger, restored } = state;
    const { observer } = parts;
    const { network } = epochs;
    this.#epochs = epochs;
    this.#pool = new BundlePool(ledger);
    for (const stored of restored.waiting) this.#pool.add(stored);
    this.#reader = new Reader(network, ledger, this.#pool);
    this.#feed = new EventFeed(network, observer.log);
    this.#waiting = restored.waiting;
    this.#lastPosition = restored.execution.position;
    this.#startedAtMs = parts.clock.monotonicMs();
    this.#loop = new NodeLoop<PbftMessage>({
      ...parts,
      epochs,
      lanes,
      ledger,
      pool: this.#pool,
      observations: () => parts.observations?.() ?? null,
      reportIntervalMs: parts.reportIntervalMs ?? REPORT_INTERVAL_MS,
      execution: restored.execution,
      checkpoint: restored.checkpoint,
      lastVote: restored.lastVote,
      onExecuted: (execution, slot, bundles) => this.#onExecuted(execution, slot, bundles),
      onEpoch: (changed) => this.#onEpoch(changed),
      onProposed: (stored) => this.#onProposed(stored),
      onFatal: (error) => this.#fail(error),
    });
  }

  /** Reads the disk back. @throws NodeError `storage-failed` */
  static async open(parts: NodeParts): Promise<ConsensusNode> {
    const { nodeId, timeouts } = parts;
    const { genesis } = parts.network;
    const ledger = new Ledger(parts.database, parts.network);
    const restored = await restoreNode(ledger, { genesis, first: parts.membership, nodeId });
    const { network, self, membership, execution, ownTip } = restored;
    const lanes = new Lanes(network, execution.lanes);
    const make = parts.makeEngine ?? ((options: PbftOptions): Engine<PbftMessage> => new PbftEngine(options));
    const epochs = new Epochs<PbftMessage>({
      network,
      nodeId,
      membership,
      lanes,
      ownTip,
      engine: make({
        network,
        self,
        lanes,
        timeouts,
        base: execution.epochBase,
        executed: execution.sequence,
        restored: restored.engine,
      }),
      makeEngine: (begin) => make({ ...begin, lanes, timeouts, executed: begin.base, restored: NOTHING_RESTORED }),
    });
    ledger.follow(epochs.network);
    parts.onMembership?.(membership, null);
    return new ConsensusNode(parts, { epochs, lanes, ledger, restored });
  }

  /** Binds the socket and begins to take part. */
  async start(): Promise<void> {
    await this.#parts.transport.start(this.#loop);
    this.#loop.start(this.#waiting);
  }

  /** Takes nothing in any more, lets what is under way become durable, and leaves the network. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await this.#loop.stop();
    this.#epochs.ownLane?.failAll(
      new NodeError("stopping", "this node is stopping; ask another node, or this one later"),
    );
    await this.#parts.transport.close();
  }

  submit(payloads: readonly Uint8Array[]): Submission {
    const refusal = this.#refusal(payloads);
    if (refusal !== null || this.#epochs.ownLane === null) return refused(refusal ?? observerError());
    const submission = this.#epochs.ownLane.submit(payloads, this.#parts.clock.monotonicMs());
    this.#loop.wake();
    return submission;
  }

  async whenFinalized(hash: Hash, { timeoutMs }: { readonly timeoutMs: number }): Promise<FinalizedReceipt | null> {
    const waiting = this.#feed.waitFor(hash);
    try {
      const vertex = await this.#reader.vertex(hash);
      if (vertex === null) return null;
      if (vertex.sequence !== null) return { hash, sequence: vertex.sequence, finalityMs: null };
      return await this.#withTimeout(waiting.receipt, timeoutMs);
    } finally {
      waiting.cancel();
    }
  }

  async vertex(hash: Hash): Promise<VertexView | null> {
    return await this.#reader.vertex(hash);
  }

  async finalized(range: { readonly from: number; readonly limit: number }): Promise<readonly FinalizedItem[]> {
    return await this.#reader.finalized(range, this.#lastPosition);
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
      validators: network.set.size,
      faultTolerance: network.set.faultTolerance,
      quorum: network.set.quorum,
      lastSequence: this.#lastPosition,
      lastBatch: engine.executed,
      stableCheckpoint: engine.stable,
      pending: this.#pool.pending() + (this.#epochs.ownLane?.queued ?? 0),
      peers: transport.peers().length,
      uptimeMs: Math.round(clock.monotonicMs() - this.#startedAtMs),
    };
  }

  /** The share of validators that committed to the newest place. */
  participation(): number {
    return this.#epochs.engine.status().participation;
  }

  readiness(): Readiness {
    const { network } = this.#epochs;
    const reasons: string[] = [];
    if (this.#failed) reasons.push("the node failed; its log says why");
    if (this.#stopping) reasons.push("the node is stopping");
    const connected = this.#connectedValidators();
    if (connected < network.set.quorum) {
      reasons.push(
        `${connected} of ${network.set.size} validators are connected (this node included), ${network.set.quorum} are needed`,
      );
    }
    if (this.#loop.silence !== null) reasons.push(this.#loop.silence);
    if (!this.#epochs.engine.status().active)
      reasons.push(`a view change to view ${this.#epochs.engine.status().view} is under way`);
    return { ready: reasons.length === 0, reasons };
  }

  peers(): readonly PeerInfo[] {
    return this.#parts.transport.peers();
  }

  validators(): readonly ValidatorView[] {
    const { nodeId, transport } = this.#parts;
    const { network } = this.#epochs;
    const connected = new Set(transport.peers().map((peer) => peer.nodeId));
    const { leader } = this.#epochs.engine.status();
    return network.set.indices().map((index) => ({
      index,
      nodeId: network.set.at(index).nodeId,
      name: this.#nameOf(index),
      isLeader: index === leader,
      isSelf: network.set.at(index).nodeId === nodeId,
      connected: network.set.at(index).nodeId === nodeId || connected.has(network.set.at(index).nodeId),
    }));
  }

  /** The genesis file names its own validators; later ones bring their name with them. */
  #nameOf(index: ValidatorIndex): string {
    const { name } = this.#epochs.network.set.at(index);
    return this.#parts.network.set.knows(index) ? this.#parts.network.set.at(index).name : name;
  }

  subscribe(listener: (event: NodeEvent) => void): () => void {
    return this.#feed.subscribe(listener);
  }

  #refusal(payloads: readonly Uint8Array[]): NodeError | null {
    const { limits } = this.#parts;
    const { network } = this.#epochs;
    if (this.#stopping || this.#failed) return new NodeError("stopping", "this node is stopping; ask another node");
    if (this.#epochs.ownLane === null) return observerError();
    if (payloads.length === 0 || payloads.some((payload) => payload.length === 0)) {
      return new NodeError("payload-empty", "a vertex needs a payload of at least one byte");
    }
    if (payloads.length > limits.submissionVerticesMax) {
      const most = limits.submissionVerticesMax;
      return new NodeError(
        "batch-too-large",
        `${payloads.length} payloads in one submission, at most ${most}: send several`,
      );
    }
    const large = payloads.find((payload) => payload.length > limits.payloadBytesMax);
    if (large !== undefined) {
      return new NodeError(
        "payload-too-large",
        `a payload of ${large.length} bytes, at most ${limits.payloadBytesMax} are allowed: store it elsewhere and submit its hash`,
      );
    }
    const self = present(network.set.indexOf(this.#parts.nodeId), "this validator's index");
    const pending = this.#pool.pendingOf(self) + this.#epochs.ownLane.pending;
    const bytes = this.#pool.pendingBytesOf(self) + this.#epochs.ownLane.queuedBytes;
    if (bytes > PENDING_BYTES_MAX) {
      return new NodeError("overloaded", `${bytes} bytes of this node wait for finality: try again shortly`, {
        retryAfterMs: OVERLOAD_RETRY_MS,
      });
    }
    if (pending + payloads.length > limits.pendingVerticesMax) {
      return new NodeError(
        "overloaded",
        `${pending} vertices of this node wait for finality, at most ${limits.pendingVerticesMax} may: try again shortly`,
        { retryAfterMs: OVERLOAD_RETRY_MS },
      );
    }
    if (this.#connectedValidators() < network.set.quorum || this.#loop.silence !== null) {
      const reasons = this.readiness().reasons.join("; ");
      return new NodeError("not-ready", `this node cannot finalize now: ${reasons}`, {
        retryAfterMs: NOT_READY_RETRY_MS,
      });
    }
    return null;
  }

  #connectedValidators(): number {
    const { transport, nodeId } = this.#parts;
    const { network } = this.#epochs;
    const peers = transport.peers().filter((peer) => network.set.indexOf(peer.nodeId) !== null).length;
    return peers + (network.set.indexOf(nodeId) === null ? 0 : 1);
  }

  #onEpoch(changed: ValidatorSetChanged): void {
    this.#parts.onMembership?.(this.#epochs.membership, changed);
    this.#parts.observer.log("info", "validators.changed", { ...changed });
    this.#feed.onValidators(changed);
  }

  #onProposed(stored: StoredBundle): void {
    this.#epochs.ownLane?.onDurable(stored.held);
    this.#parts.observer.onProposed(stored.held.ref.count);
    this.#feed.onProposed(stored);
  }

  #onExecuted(execution: Execution, _slot: CommittedSlot, bundles: readonly StoredBundle[]): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#lastPosition = execution.state.position;
    let vertices = 0;
    execution.executed.forEach(({ firstPosition, ref }, index) => {
      const { held } = present(bundles[index], "an executed bundle");
      vertices += ref.count;
      const finality = this.#epochs.ownLane?.onFinalized(held, firstPosition, nowMs) ?? [];
      for (const { vertices: count, finalityMs } of finality) this.#parts.observer.onFinality(count, finalityMs);
    });
    this.#parts.observer.onFinalized(vertices, execution.executed.length);
    this.#feed.onFinalized(execution, bundles);
  }

  async #withTimeout(receipt: Promise<FinalizedReceipt>, timeoutMs: number): Promise<FinalizedReceipt> {
    const { clock } = this.#parts;
    const timeout = Promise.withResolvers<never>();
    const cancel = clock.setTimer(clock.monotonicMs() + timeoutMs, () => {
      timeout.reject(new NodeError("timeout", `not final after ${timeoutMs} ms; it stays accepted, ask for it later`));
    });
    try {
      return await Promise.race([receipt, timeout.promise]);
    } finally {
      cancel();
    }
  }

  #fail(error: unknown): void {
    this.#failed = true;
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#epochs.ownLane?.failAll(new NodeError("storage-failed", "the node failed and stops", { cause }));
    this.#parts.onFatal(error);
  }
}

function observerError(): NodeError {
  return new NodeError("observer", "this node is an observer and takes no vertices in: submit to a validator");
}

function refused(error: NodeError): Submission {
  const accepted = Promise.reject(error);
  const finalized = Promise.reject(error);
  accepted.catch(() => undefined);
  finalized.catch(() => undefined);
  return { accepted, finalized };
}
