import { encode } from "../codec/codec.ts";
import type {
  CheckpointCertificate,
  CommittedSlot,
  Effect,
  Engine,
  EngineEvent,
  PeerStatus,
  TimerName,
} from "../consensus/engine.ts";
import type { Lanes } from "../dag/lanes.ts";
import { assert, present, unreachable } from "../lib/assert.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Nonce, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { Proof } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { type Execution, type ExecutionState, execute, executionStateDigest } from "../replication/executor.ts";
import { BundleExchange } from "./bundle-exchange.ts";
import type { BundlePool } from "./bundle-pool.ts";
import { answerQuestion } from "./answers.ts";
import { openCommitted } from "./catch-up.ts";
import { Fetcher } from "./fetcher.ts";
import type { Addressed } from "./frames.ts";
import { Inbound } from "./inbound.ts";
import type { Ledger, StoredBundle } from "./ledger.ts";
import type { LoopObserver } from "./observer.ts";
import { Outbox } from "./outbox.ts";
import type { OwnLane } from "./own-lane.ts";
import type { Clock, Database, Lane, PeerInfo, Signer, Transport, TransportHandler, Verifier } from "./ports.ts";
import { StartGate } from "./start-gate.ts";
import { SealVerification } from "./verification.ts";
import { frameCodec, frameSizeHint, type StatusFrame } from "./wire.ts";

export interface LoopOptions<M> {
  readonly network: NetworkContext;
  readonly self: ValidatorIndex | null;
  readonly engine: Engine<M>;
  /** The same object that the engine orders from. */
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly pool: BundlePool;
  readonly ownLane: OwnLane | null;
  readonly execution: ExecutionState;
  readonly checkpoint: CheckpointCertificate | null;
  /** The highest sequence for which this node's disk shows a vote of its own. */
  readonly lastVote: Sequence;
  readonly database: Database;
  readonly transport: Transport;
  readonly signer: Signer;
  readonly verifier: Verifier;
  readonly clock: Clock;
  readonly observer: LoopObserver;
  /** Executed and durable: `execution.executed` took their places. */
  readonly onExecuted: (execution: Execution, slot: CommittedSlot, bundles: readonly StoredBundle[]) => void;
  /** Own bundles that became durable. */
  readonly onProposed: (stored: StoredBundle) => void;
  /** The node must stop: what it says could no longer be trusted. */
  readonly onFatal: (error: unknown) => void;
}

/** How long after a dropped frame a slow peer is told where this node stands. */
const TELL_LATER_MS = 1_000;

/**
 * The one place where what is ordered meets what is executed, stored and sent. It feeds the engine, performs its effects in
 * their order, and knows no adapter: production and simulator give it their ports.
 *
 * Invariant: between two events nothing else touches the engine; effects of one event are performed before the next event.
 */
export class NodeLoop<M> implements TransportHandler {
  readonly #options: LoopOptions<M>;
  readonly #outbox: Outbox;
  readonly #inbound: Inbound<M>;
  readonly #fetcher: Fetcher;
  readonly #exchange: BundleExchange;
  readonly #verification: SealVerification;
  readonly #gate: StartGate<M>;
  readonly #timers = new Map<TimerName, () => void>();
  readonly #events: EngineEvent<M>[] = [];
  #execution: ExecutionState;
  #checkpoint: CheckpointCertificate | null;
  /** Slow peers that are about to hear where this node stands. */
  readonly #told = new Set<ValidatorIndex>();
  #stepping = false;
  #stopped = false;

  constructor(options: LoopOptions<M>) {
    this.#options = options;
    this.#execution = options.execution;
    this.#checkpoint = options.checkpoint;
    const { network, self, database, signer, verifier } = options;
    this.#verification = new SealVerification(network, verifier);
    this.#outbox = new Outbox({
      network,
      self,
      database,
      signer,
      send: (addressed) => this.#send(addressed),
      beforeClose: () => this.#exchange.formOwn(),
      onTurn: (turn) => options.observer.onTurn(turn),
      onFailure: (error) => this.#fail(error),
      monotonicMs: () => options.clock.monotonicMs(),
      defer: (callback) => options.clock.defer(callback),
      setTimer: (atMs, callback) => {
        options.clock.setTimer(atMs, callback);
      },
    });
    this.#exchange = new BundleExchange({
      ...options,
      outbox: this.#outbox,
      wallMs: () => options.clock.nowMs(),
      isSilent: () => this.#gate.isSilent,
      feedBundles: (refs) => this.#feed({ kind: "bundles", ...this.#now(), refs }),
    });
    this.#inbound = this.#newInbound();
    this.#fetcher = this.#newFetcher();
    this.#gate = new StartGate<M>({
      network,
      self,
      remembered: { nonce: options.ownLane?.tip.nonce ?? (0 as Nonce), vote: options.lastVote },
      log: options.observer.log,
      onOpen: (held) => {
        this.#feed({ kind: "start", ...this.#now() });
        for (const event of held) this.#feed(event);
      },
    });
  }

  /** Begins to vote: at once where this node is alone, else when enough peers have said where they stand. */
  start(restored: readonly StoredBundle[]): void {
    this.#feed({ kind: "bundles", ...this.#now(), refs: restored.map(({ held }) => held.ref) });
    this.#gate.check();
  }

  get started(): boolean {
    return this.#gate.isOpen;
  }

  /** Why this node keeps silent although it is connected; null where it does not. */
  get silence(): string | null {
    return this.#gate.reason;
  }

  /** New payloads wait in the own lane. */
  wake(): void {
    this.#outbox.wake();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await this.#outbox.drain();
  }

  onPeerConnected(peer: PeerInfo): void {
    const index = this.#options.network.set.indexOf(peer.nodeId);
    if (index !== null) this.#feed({ kind: "peer-connected", ...this.#now(), peer: index });
  }

  onPeerDisconnected(): void {
    // The engine needs no word of it: what matters is who answers, and timers tell that.
  }

  async onFrame(peer: NodeId, lane: Lane, frame: Uint8Array): Promise<void> {
    if (!this.#stopped) await this.#inbound.onFrame(peer, lane, frame);
  }

  async onRequest(_peer: NodeId, body: Uint8Array): Promise<Uint8Array> {
    const { ledger, pool, engine } = this.#options;
    return await answerQuestion(body, {
      ledger,
      pool,
      checkpoint: this.#checkpoint,
      batchOf: (d) => engine.batchOf(d),
    });
  }

  #newInbound(): Inbound<M> {
    const options = this.#options;
    const { network, engine } = options;
    return new Inbound<M>({
      network,
      engine,
      verification: this.#verification,
      isBundleWanted: (bundle) => this.#exchange.isWanted(bundle),
      onMessage: (signed) => {
        const { phase, sequence } = engine.wire.statementOf(signed.message);
        if (phase === "prepare" || phase === "commit" || phase === "pre-prepare") {
          this.#gate.onVote(signed.proof.seal.signer, sequence as Sequence);
        }
        this.#feed({ kind: "message", ...this.#now(), signed });
      },
      onBundles: (bundles) => this.#exchange.take(bundles),
      onStatus: (from, frame) => {
        this.#gate.onStatus(from, frame);
        this.#feed({ kind: "peer-status", ...this.#now(), from, status: frame.status });
        this.#exchange.push(from, frame.lanes);
      },
      monotonicMs: () => options.clock.monotonicMs(),
      onObserver: (peer) => {
        const frame = encode(frameCodec, this.#statusFrame(statusOf(engine)));
        options.transport.send(peer, "consensus", frame);
      },
      onIgnored: (peer, reason) => options.observer.onIgnored(peer, reason),
      onRejected: (peer, reason) => options.observer.onRejected(peer, reason),
    });
  }

  #newFetcher(): Fetcher {
    const options = this.#options;
    return new Fetcher({
      reachable: () => this.#reachable(),
      ask: (peer, question, timeoutMs) => options.transport.request(this.#nodeId(peer), question, { timeoutMs }),
      isHeld: (digest) => options.lanes.has(digest),
      delay: (ms) => this.#delay(ms),
      findLocally: (digest) => options.pool.find(digest),
      open: (body) => this.#inbound.openBundle(body),
      onBundles: (bundles, source) => this.#exchange.takeFetched(bundles, source),
      onBatches: (batches) => this.#feed({ kind: "batches", ...this.#now(), batches }),
      onAnswerFault: (peer, reason) => options.observer.onRejected(this.#nodeId(peer), `malformed-answer: ${reason}`),
    });
  }

  #feed(event: EngineEvent<M>): void {
    if (this.#stopped || this.#gate.holds(event)) return;
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of this.#options.engine.step(next)) this.#perform(effect);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stepping = false;
    }
  }

  #perform(effect: Effect<M>): void {
    const { engine, ledger, observer } = this.#options;
    switch (effect.kind) {
      case "persist":
        return ledger.recordEngine(this.#outbox.writes(), effect.writes);
      case "broadcast":
        return this.#say(effect.message, "all", (proof) => this.#hear(effect.message, proof));
      case "send":
        return this.#say(effect.message, effect.to, (proof) => {
          if (effect.to === this.#options.self) this.#hear(effect.message, proof);
        });
      case "relay": {
        const { message, proof } = effect.signed;
        const messages = [{ body: engine.wire.encode(message), proof }];
        return this.#outbox.tell("consensus", effect.to, { kind: "relayed", messages });
      }
      case "status":
        return this.#outbox.tell("consensus", effect.to, this.#statusFrame(effect.status));
      case "set-timer":
        return this.#setTimer(effect.name, effect.atMs);
      case "cancel-timer":
        this.#timers.get(effect.name)?.();
        this.#timers.delete(effect.name);
        return;
      case "finalize":
        return this.#finalize(effect.slot);
      case "checkpoint":
        this.#checkpoint = effect.certificate;
        return;
      case "fetch-bundles":
        return this.#background(this.#fetcher.fetchBundles(effect.digests, effect.from));
      case "fetch-batches":
        return this.#background(this.#fetcher.fetchBatches(effect.digests, effect.from));
      case "offer-bundles":
        return this.#exchange.offer(effect.digests, effect.to);
      case "sync":
        return this.#background(this.#sync(effect.from, effect.fromSequence));
      case "evidence":
        return observer.onEquivocation(effect.equivocation);
      case "trace":
        return observer.onTrace(effect.trace);
      default:
        return unreachable(effect);
    }
  }

  #say(message: M, to: ValidatorIndex | "all", onSent: ((proof: Proof) => void) | null): void {
    const { engine, network } = this.#options;
    if (this.#gate.isSilent) return;
    const leaf = statementDigest(network, engine.wire.statementOf(message));
    this.#outbox.say({ lane: "consensus", leaf, body: engine.wire.encode(message), to, onSealed: null, onSent });
  }

  /** What this node said comes back to it as a message of its own. */
  #hear(message: M, proof: Proof): void {
    this.#feed({ kind: "message", ...this.#now(), signed: this.#verification.mint({ message, proof }) });
  }

  #finalize(slot: CommittedSlot): void {
    const { ledger, lanes, pool, engine, self } = this.#options;
    const { state, executed, timestampMs } = execute(this.#execution, slot.batch, (digest) => {
      return present(lanes.get(digest), `the held bundle ${digest}`);
    });
    assert(state.sequence === slot.sequence, "execution in sequence");
    const bundles = executed.map(({ ref }) => present(pool.get(ref.digest), `the waiting bundle ${ref.digest}`));
    const held = new Map(bundles.map((stored) => [stored.held.ref.digest, stored.held]));
    const execution: Execution = { state, executed, timestampMs };
    ledger.recordExecution(this.#outbox.writes(), slot, execution, (digest) => present(held.get(digest), "a bundle"));
    this.#execution = state;
    for (const { ref } of executed) pool.onExecuted(ref);
    if (self !== null) this.#options.ownLane?.onExecuted(present(state.lanes[self], "this node's lane"));
    this.#outbox.whenDurable(() => this.#options.onExecuted(execution, slot, bundles));
    this.#gate.onExecuted(state, engine.status().stable);
    const stateDigest = executionStateDigest(state);
    this.#feed({ kind: "executed", ...this.#now(), sequence: slot.sequence, stateDigest, lanes: state.lanes });
  }

  async #sync(from: ValidatorIndex, fromSequence: Sequence): Promise<void> {
    const { network, observer } = this.#options;
    const answer = await this.#fetcher.fetchCommitted(from, fromSequence);
    const opened = answer === null ? null : await openCommitted(network, this.#verification, answer, fromSequence);
    if (opened === null) {
      if (answer !== null) observer.onRejected(this.#nodeId(from), "invalid-committed-places");
      return this.#feed({ kind: "sync-failed", ...this.#now(), from });
    }
    this.#feed({ kind: "synced", ...this.#now(), from, slots: opened.slots, checkpoint: opened.checkpoint });
  }

  #statusFrame(status: PeerStatus): StatusFrame {
    return { kind: "status", status, lanes: this.#exchange.heldNonces(), votes: this.#gate.votes() };
  }

  #setTimer(name: TimerName, atMs: number): void {
    this.#timers.get(name)?.();
    const cancel = this.#options.clock.setTimer(atMs, () => {
      this.#timers.delete(name);
      this.#feed({ kind: "timer", ...this.#now(), name });
    });
    this.#timers.set(name, cancel);
  }

  #send({ lane, to, frame }: Addressed): void {
    const { network, transport, self } = this.#options;
    const bytes = encode(frameCodec, frame, frameSizeHint(frame));
    const receivers = to === "all" ? network.set.indices().filter((index) => index !== self) : [to];
    for (const receiver of receivers) {
      // A peer that is away loses the frame, and asks for what it lacks when it is back. One that is slow is told later.
      if (transport.send(this.#nodeId(receiver), lane, bytes) === "queue-full") this.#tellLater(receiver);
    }
  }

  /** A frame to a connected peer was dropped: an idle peer would not notice, so it hears where this node stands. */
  #tellLater(peer: ValidatorIndex): void {
    if (this.#told.has(peer) || this.#stopped) return;
    this.#told.add(peer);
    const { clock } = this.#options;
    clock.setTimer(clock.monotonicMs() + TELL_LATER_MS, () => {
      this.#told.delete(peer);
      this.#feed({ kind: "peer-connected", ...this.#now(), peer });
    });
  }

  #reachable(): readonly ValidatorIndex[] {
    const { network, transport, self } = this.#options;
    return transport
      .peers()
      .map((peer) => network.set.indexOf(peer.nodeId))
      .filter((index) => index !== null)
      .filter((index) => index !== self);
  }

  #nodeId(index: ValidatorIndex): NodeId {
    return this.#options.network.set.at(index).nodeId;
  }

  #now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.#options.clock.monotonicMs(), wallMs: this.#options.clock.nowMs() };
  }

  #delay(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.clock.setTimer(this.#options.clock.monotonicMs() + ms, resolve);
    });
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#options.onFatal(error);
  }
}

function statusOf<M>(engine: Engine<M>): PeerStatus {
  const { view, active, executed, stable } = engine.status();
  return { view, active, executed, stable };
}
