import { decode } from "../codec/codec.ts";
import {
  type CheckpointCertificate,
  checkpointCertificateOf,
  type CommittedSlot,
  commitCertificateOf,
  type EngineEvent,
  type PeerStatus,
  type Verified,
} from "../consensus/engine.ts";
import { checkpointCertificateCodec, committedSlotCodec } from "../consensus/log-codec.ts";
import { batchDigest } from "../dag/batch.ts";
import type { DagCertificate } from "../consensus/dag-engine.ts";
import { votesStatement } from "../dag/votes.ts";
import { statementDigest } from "../membership/statement.ts";
import { hasDistinctSigners, type Obligation, obligationsOf } from "../membership/certificate.ts";
import type { Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Lanes } from "../dag/lanes.ts";
import type { Hash } from "../lib/hash.ts";
import type { BundlePool } from "./bundle-pool.ts";
import type { Courier } from "./courier.ts";
import type { Epochs } from "./epochs.ts";
import { Fetcher } from "./fetcher.ts";
import type { StoredBundle } from "./ledger.ts";
import type { LoopObserver } from "./observer.ts";
import type { Clock, Transport } from "./ports.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { openTaker, type StateTaker, TAKING_PAUSE_MS, type TakingPorts } from "./transfer/state-taker.ts";
import type { SealVerification } from "./verification.ts";
import type { AboutDag, CommittedAnswer, DagAnswer, ProvenBody } from "./wire.ts";

export interface OpenedCommitted {
  readonly slots: Verified<readonly CommittedSlot[]>;
  readonly checkpoint: Verified<CheckpointCertificate> | null;
}

/**
 * Checks committed places that a peer handed over, as far as they are of the present epoch: the certificate proves them,
 * the peer is not trusted. Null where anything is wrong.
 */
export async function openCommitted(
  network: NetworkContext,
  verification: SealVerification,
  answer: CommittedAnswer,
  from: Sequence,
): Promise<OpenedCommitted | null> {
  let slots: readonly CommittedSlot[];
  let checkpoint: CheckpointCertificate | null;
  try {
    slots = answer.slots.map((bytes) => decode(committedSlotCodec, bytes));
    checkpoint = answer.checkpoint === null ? null : decode(checkpointCertificateCodec, answer.checkpoint);
  } catch {
    return null;
  }
  const { epoch } = network.set;
  // What a later epoch certified is for later: its validator set follows from the places before it.
  const next = slots.findIndex(({ certificate }) => certificate.epoch !== epoch);
  if (next >= 0) slots = slots.slice(0, next);
  if (checkpoint !== null && checkpoint.epoch !== epoch) checkpoint = null;
  const obligations: Obligation[] = [];
  for (const [index, slot] of slots.entries()) {
    const { certificate } = slot;
    if (slot.sequence !== from + index || batchDigest(slot.batch) !== certificate.digest) return null;
    if (!hasDistinctSigners(network.set, certificate.proofs, network.set.quorum)) return null;
    obligations.push(...obligationsOf(network, commitCertificateOf(slot)));
  }
  if (checkpoint !== null) {
    if (!hasDistinctSigners(network.set, checkpoint.proofs, network.set.quorum)) return null;
    obligations.push(...obligationsOf(network, checkpointCertificateOf(checkpoint)));
  }
  if (!(await verification.allHold(obligations))) return null;
  return { slots: verification.mint(slots), checkpoint: checkpoint === null ? null : verification.mint(checkpoint) };
}

export interface CatchUpPorts<M> extends Omit<TakingPorts, "epochs" | "transport" | "clock" | "observer"> {
  readonly epochs: Epochs<M>;
  readonly courier: Courier<M>;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly lanes: Lanes;
  readonly pool: BundlePool;
  readonly observer: LoopObserver;
  readonly verification: SealVerification;
  /** A bundle of a leaderless network in this node's memory or on its disk; the engine that asks may have let go of it. */
  findInDag(name: Hash, by: "digest" | "tip"): Promise<StoredBundle | null>;
  /** Checks a peer's bundle in full; null where it is not acceptable. */
  open(body: ProvenBody): Promise<StoredBundle | null>;
  onBundles(bundles: readonly StoredBundle[], source: "disk" | "peer"): void;
  isStopped(): boolean;
  /** The node is to stop; with a `StateTaken`, to start again on that. */
  onFailure(error: unknown): void;
  feed(event: EngineEvent<M>): void;
  now(): { readonly nowMs: number; readonly wallMs: number };
}

/** Gets what this node lacks from those who have it, and hands the engine what was proved. */
export class CatchUp<M> {
  readonly #ports: CatchUpPorts<M>;
  readonly #fetcher: Fetcher;
  /** Null where there is no application whose state could be taken over. */
  readonly #taker: StateTaker | null;
  #following = false;
  /** After which place the log is not to be had. */
  #insisting: Sequence | null = null;

  constructor(ports: CatchUpPorts<M>) {
    this.#ports = ports;
    const { clock } = ports;
    this.#taker = openTaker(ports, () => ports.courier.reachable());
    this.#fetcher = new Fetcher({
      reachable: () => ports.courier.reachable(),
      ask: (peer, question, timeoutMs) => ports.transport.request(peer, question, { timeoutMs }),
      isHeld: (name) => ports.lanes.has(name),
      delay: (ms) =>
        new Promise((resolve) => {
          clock.setTimer(clock.monotonicMs() + ms, resolve);
        }),
      findLocally: async (digest) => (await ports.pool.find(digest)) ?? (await ports.findInDag(digest, "digest")),
      findByTip: (tip) => ports.findInDag(tip, "tip"),
      open: (body) => ports.open(body),
      onBundles: (bundles, source) => ports.onBundles(bundles, source),
      onBatches: (batches) => ports.feed({ kind: "batches", ...ports.now(), batches }),
      onAnswerFault: (peer, reason) => ports.observer.onRejected(peer, `malformed-answer: ${reason}`),
    });
  }

  /** How far a peer says that it is; a hint. */
  onPeerStatus(from: ValidatorIndex, { executed }: PeerStatus): void {
    this.#taker?.onPeerStatus(this.#ports.courier.nodeId(from), executed);
  }

  async fetchBundles(digests: readonly Hash[], from: readonly ValidatorIndex[]): Promise<void> {
    await this.#fetcher.fetchBundles(digests, this.#named(from));
  }

  /** Bundles of a leaderless network by their last vertices. */
  async fetchVertices(tips: readonly Hash[], from: readonly ValidatorIndex[]): Promise<void> {
    await this.#fetcher.fetchVertices(tips, this.#named(from));
  }

  /** One page of what a validator has of the DAG; null where it did not answer properly. */
  async askDag(from: ValidatorIndex, about: AboutDag): Promise<DagAnswer | null> {
    return await this.#fetcher.fetchDag(this.#ports.courier.nodeId(from), about);
  }

  /** A certificate of an earlier epoch with its votes where all of them hold, without any where not. */
  async withProof(certificate: DagCertificate): Promise<DagCertificate> {
    const { epochs, verification } = this.#ports;
    const { epoch, votes } = certificate;
    const context = { genesis: epochs.network.genesis, set: { epoch } };
    const obligations = votes.map(({ message, proof }) => ({
      leaf: statementDigest(context, votesStatement(message)),
      proof,
    }));
    return (await verification.allHold(obligations)) ? certificate : { ...certificate, votes: [] };
  }

  /** Null where one of them is not acceptable. */
  async openAll(bodies: readonly ProvenBody[]): Promise<readonly StoredBundle[] | null> {
    const opened = await Promise.all(bodies.map((body) => this.#ports.open(body)));
    const bundles = opened.filter((stored) => stored !== null);
    return bundles.length === bodies.length ? bundles : null;
  }

  /** No correct peer answers so. */
  reject(peer: ValidatorIndex, reason: string): void {
    this.#ports.observer.onRejected(this.#ports.courier.nodeId(peer), reason);
  }

  async fetchBatches(digests: readonly Hash[], from: readonly ValidatorIndex[]): Promise<void> {
    await this.#fetcher.fetchBatches(digests, this.#named(from));
  }

  /** Asks one validator for committed places. */
  async sync(from: ValidatorIndex, fromSequence: Sequence): Promise<void> {
    const { epochs, courier, observer, verification } = this.#ports;
    const { network, engine } = epochs;
    if (await this.#takesState(engine.status().executed)) return;
    const answer = await this.#askCommitted(courier.nodeId(from), fromSequence);
    const opened = answer === null ? null : await openCommitted(network, verification, answer, fromSequence);
    if (engine !== epochs.engine) return;
    if (opened === null) {
      if (answer !== null) observer.onRejected(courier.nodeId(from), "invalid-committed-places");
      return this.#ports.feed({ kind: "sync-failed", ...this.#ports.now(), from });
    }
    this.#ports.feed({ kind: "synced", ...this.#ports.now(), from, ...opened });
  }

  /** Takes committed places from a node of a later epoch, though it is no validator here: certificates prove them. */
  async follow(peer: NodeId): Promise<void> {
    const { epochs, verification } = this.#ports;
    const { network, engine } = epochs;
    if (this.#following) return;
    this.#following = true;
    try {
      const { executed, leader } = engine.status();
      const from = (executed + 1) as Sequence;
      if (await this.#takesState(executed)) return;
      const answer = await this.#askCommitted(peer, from);
      const opened = answer === null ? null : await openCommitted(network, verification, answer, from);
      if (opened === null || opened.slots.length === 0 || engine !== epochs.engine) return;
      this.#ports.feed({ kind: "synced", ...this.#ports.now(), from: leader, ...opened });
    } finally {
      this.#following = false;
    }
  }

  /** Whether the way is over: a state was taken over that lies further on than the log that peers would give. */
  async #takesState(executed: Sequence): Promise<boolean> {
    const taker = this.#taker;
    if (taker === null) return false;
    if (taker.holdsLog) return true;
    const taken = await taker.maybeTake(executed);
    if (taken === null || taken.state.execution.sequence <= this.#ports.epochs.engine.status().executed) return false;
    this.#ports.onFailure(taken);
    return true;
  }

  async #askCommitted(peer: NodeId, from: Sequence): Promise<CommittedAnswer | null> {
    const answer = await this.#fetcher.fetchCommitted(peer, from);
    const after = (from - 1) as Sequence;
    const isGone = answer !== null && answer.slots.length === 0 && answer.first > from;
    if (isGone && this.#taker?.onLogGone(peer, after) === true) this.#insist(after);
    return answer;
  }

  /**
   * The log behind this place is not to be had: a state is asked for again and again, until something else helped. No
   * event might come that asks once more: idle peers say nothing.
   */
  #insist(executed: Sequence): void {
    if (this.#insisting === executed) return;
    this.#insisting = executed;
    const { clock, epochs } = this.#ports;
    const attempt = (): void => {
      if (this.#ports.isStopped() || epochs.engine.status().executed !== executed) return;
      // Whatever came of it: where another attempt is under way, that one may come to nothing.
      this.#takesState(executed).then(() => {
        if (!this.#ports.isStopped()) clock.setTimer(clock.monotonicMs() + TAKING_PAUSE_MS, attempt);
      }, this.#ports.onFailure);
    };
    attempt();
  }

  #named(indices: readonly ValidatorIndex[]): readonly NodeId[] {
    return indices.map((index) => this.#ports.courier.nodeId(index));
  }
}
