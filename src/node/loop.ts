import type { CheckpointCertificate, CommittedSlot, Effect, EngineEvent } from "../consensus/engine.ts";
import { assert, present, unreachable } from "../lib/assert.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Hash } from "../lib/hash.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Nonce, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { MembershipCommand } from "../membership/membership-command.ts";
import type { MembershipState, ValidatorSetChanged } from "../membership/membership-state.ts";
import type { Proof } from "../membership/seal.ts";
import { statementDigest } from "../membership/statement.ts";
import { type ExecutionState, execute, executionStateDigest } from "../replication/executor.ts";
import { BundleExchange } from "./bundle-exchange.ts";
import { Accuser } from "./accuser.ts";
import { answerQuestion } from "./answers.ts";
import { openCommitted } from "./catch-up.ts";
import { EngineTimers } from "./engine-timers.ts";
import { Fetcher } from "./fetcher.ts";
import { Inbound } from "./inbound.ts";
import type { StoredBundle } from "./ledger.ts";
import { Courier } from "./courier.ts";
import { commandsOf } from "./membership-bundles.ts";
import type { LoopOptions } from "./loop-options.ts";
import { Outbox } from "./outbox.ts";
import type { OwnLane } from "./own-lane.ts";
import type { Lane, PeerInfo, TransportHandler } from "./ports.ts";
import { Reporter } from "./reporter.ts";
import { StartGate } from "./start-gate.ts";
import { SealVerification } from "./verification.ts";

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
  readonly #accuser: Accuser;
  readonly #courier: Courier<M>;
  readonly #reporter: Reporter<M>;
  readonly #timers: EngineTimers;
  readonly #events: EngineEvent<M>[] = [];
  #execution: ExecutionState;
  #checkpoint: CheckpointCertificate | null;
  #stepping = false;
  #stopped = false;

  constructor(options: LoopOptions<M>) {
    this.#options = options;
    this.#execution = options.execution;
    this.#checkpoint = options.checkpoint;
    this.#timers = new EngineTimers(options.clock);
    const { epochs, database, signer, verifier } = options;
    const { network } = epochs;
    const self = (): ValidatorIndex | null => epochs.self;
    const ownLane = (): OwnLane | null => epochs.ownLane;
    this.#verification = new SealVerification(network, verifier);
    this.#outbox = new Outbox({
      network,
      self,
      database,
      signer,
      send: (addressed) => this.#courier.send(addressed),
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
      network,
      self,
      ownLane,
      outbox: this.#outbox,
      wallMs: () => options.clock.nowMs(),
      isSilent: () => this.#gate.isSilent,
      feedBundles: (refs) => this.#feed({ kind: "bundles", ...this.#now(), refs }),
      onFork: (equivocation) => this.#accuse(equivocation),
      isAccused: (creator) => this.#accuser.isAccused(creator),
    });
    const membership = (): MembershipState => epochs.membership;
    this.#accuser = new Accuser({ network, membership, ownLane, wake: () => this.wake() });
    this.#courier = new Courier<M>({
      ...options,
      held: () => ({ lanes: this.#exchange.heldNonces(), votes: this.#gate.votes() }),
      isStopped: () => this.#stopped,
    });
    this.#inbound = this.#newInbound();
    this.#fetcher = this.#newFetcher();
    this.#reporter = new Reporter<M>({
      ...options,
      intervalMs: options.reportIntervalMs,
      isConnected: (peer) => options.transport.peers().some(({ nodeId }) => nodeId === peer),
      votes: () => this.#gate.votes(),
      executed: () => this.#execution.sequence,
      say: (command) => this.command(command),
      isStopped: () => this.#stopped,
    });
    this.#gate = new StartGate<M>({
      network,
      self,
      remembered: { nonce: epochs.ownLane?.tip.nonce ?? (0 as Nonce), vote: options.lastVote },
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
    this.#reporter.start();
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
    this.#timers.clear();
    await this.#outbox.drain();
  }

  /** Says a command about the validator set in this node's lane; false where it cannot. */
  command(command: MembershipCommand): boolean {
    return !this.#gate.isSilent && this.#accuser.say(command);
  }

  onPeerConnected(peer: PeerInfo): void {
    const index = this.#options.epochs.network.set.indexOf(peer.nodeId);
    if (index !== null) this.#feed({ kind: "peer-connected", ...this.#now(), peer: index });
  }

  onPeerDisconnected(): void {
    // The engine needs no word of it: what matters is who answers, and timers tell that.
  }

  async onFrame(peer: NodeId, lane: Lane, frame: Uint8Array): Promise<void> {
    if (!this.#stopped) await this.#inbound.onFrame(peer, lane, frame);
  }

  async onRequest(_peer: NodeId, body: Uint8Array): Promise<Uint8Array> {
    const { ledger, pool, epochs } = this.#options;
    return await answerQuestion(body, {
      ledger,
      pool,
      checkpoint: this.#checkpoint,
      batchOf: (digest) => epochs.engine.batchOf(digest),
    });
  }

  #newInbound(): Inbound<M> {
    const options = this.#options;
    const { epochs } = options;
    return new Inbound<M>({
      network: epochs.network,
      engine: () => epochs.engine,
      verification: this.#verification,
      isBundleWanted: (bundle) => this.#exchange.isWanted(bundle),
      onMessage: (signed) => {
        const { phase, sequence } = epochs.engine.wire.statementOf(signed.message);
        if (phase === "prepare" || phase === "commit" || phase === "pre-prepare") {
          this.#gate.onVote(signed.proof.seal.signer, sequence as Sequence);
        }
        this.#feed({ kind: "message", ...this.#now(), signed });
      },
      onBundles: (bundles) => this.#exchange.take(bundles),
      onStatus: (from, frame) => {
        this.#gate.onStatus(from, frame);
        this.#feed({ kind: "peer-status", ...this.#now(), from, status: this.#courier.inThisEpoch(frame) });
        this.#exchange.push(from, frame.lanes);
      },
      monotonicMs: () => options.clock.monotonicMs(),
      // Only who is not ahead is answered: two that take each other for outsiders would go on for ever.
      onObserver: (peer, { status }) => {
        if (status.executed <= epochs.engine.status().executed) this.#courier.tellStatus(peer);
      },
      onLaterEpoch: (peer) => this.#courier.tellLater(peer),
      onIgnored: (peer, reason) => options.observer.onIgnored(peer, reason),
      onRejected: (peer, reason) => options.observer.onRejected(peer, reason),
    });
  }

  #newFetcher(): Fetcher {
    const options = this.#options;
    return new Fetcher({
      reachable: () => this.#courier.reachable(),
      ask: (peer, question, timeoutMs) =>
        options.transport.request(this.#courier.nodeId(peer), question, { timeoutMs }),
      isHeld: (digest) => options.lanes.has(digest),
      delay: (ms) => this.#delay(ms),
      findLocally: (digest) => options.pool.find(digest),
      open: (body) => this.#inbound.openBundle(body),
      onBundles: (bundles, source) => this.#exchange.takeFetched(bundles, source),
      onBatches: (batches) => this.#feed({ kind: "batches", ...this.#now(), batches }),
      onAnswerFault: (peer, reason) =>
        options.observer.onRejected(this.#courier.nodeId(peer), `malformed-answer: ${reason}`),
    });
  }

  #feed(event: EngineEvent<M>): void {
    const { epochs } = this.#options;
    if (this.#stopped || this.#gate.holds(event)) return;
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const { engine } = epochs;
        for (const effect of engine.step(next)) {
          this.#perform(effect);
          // What an engine wants after the end of its epoch is void.
          if (engine !== epochs.engine) break;
        }
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stepping = false;
    }
  }

  #perform(effect: Effect<M>): void {
    const { epochs, ledger, observer } = this.#options;
    switch (effect.kind) {
      case "persist":
        return ledger.recordEngine(this.#outbox.writes(), epochs.network.set.epoch, effect.writes);
      case "broadcast":
        return this.#say(effect.message, "all", (proof) => this.#hear(effect.message, proof));
      case "send":
        return this.#say(effect.message, effect.to, (proof) => {
          if (effect.to === epochs.self) this.#hear(effect.message, proof);
        });
      case "relay": {
        if (epochs.self === null) return;
        const { message, proof } = effect.signed;
        const messages = [{ body: epochs.engine.wire.encode(message), proof }];
        const { epoch } = epochs.network.set;
        return this.#outbox.tell("consensus", effect.to, { kind: "relayed", epoch, messages });
      }
      case "status":
        return this.#outbox.tell("consensus", effect.to, this.#courier.statusFrame(effect.status));
      case "set-timer":
        return this.#timers.set(effect.name, effect.atMs, () => {
          this.#feed({ kind: "timer", ...this.#now(), name: effect.name });
        });
      case "cancel-timer":
        return this.#timers.cancel(effect.name);
      case "finalize":
        return this.#finalize(effect.slot);
      case "checkpoint":
        this.#checkpoint = effect.certificate;
        this.#options.pool.forgetSettled(this.#execution.lanes);
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
        return this.#accuse(effect.equivocation);
      case "divergence":
        return observer.onRejected(this.#courier.nodeId(effect.signer), `divergent-state: at ${effect.sequence}`);
      case "trace":
        return observer.onTrace(effect.trace);
      default:
        return unreachable(effect);
    }
  }

  #say(message: M, to: ValidatorIndex | "all", onSent: ((proof: Proof) => void) | null): void {
    const { engine, network } = this.#options.epochs;
    if (this.#gate.isSilent) return;
    const leaf = statementDigest(network, engine.wire.statementOf(message));
    const heard = (proof: Proof): void => {
      // A vote comes back to the engine that cast it, and to no later one.
      if (engine === this.#options.epochs.engine) onSent?.(proof);
    };
    this.#outbox.say({ lane: "consensus", leaf, body: engine.wire.encode(message), to, onSealed: null, onSent: heard });
  }

  /** What this node said comes back to it as a message of its own. */
  #hear(message: M, proof: Proof): void {
    this.#feed({ kind: "message", ...this.#now(), signed: this.#verification.mint({ message, proof }) });
  }

  /** What this node itself holds against a validator is counted, told to its operator, and carried to all. */
  #accuse(equivocation: Equivocation): void {
    if (!this.#gate.isSilent) this.#accuser.accuse(equivocation);
    this.#options.observer.onEquivocation(equivocation);
  }

  #finalize(slot: CommittedSlot): void {
    const { epochs, ledger, lanes, pool } = this.#options;
    const bundleOf = (digest: Hash): StoredBundle => present(pool.get(digest), `the waiting bundle ${digest}`);
    const execution = execute(epochs.network, this.#execution, slot.batch, {
      membership: epochs.membership,
      bundleOf: (digest) => present(lanes.get(digest), `the held bundle ${digest}`),
      commandsOf: ({ digest }) => commandsOf(bundleOf(digest).held.bundle),
    });
    const { state, executed, changed } = execution;
    assert(state.sequence === slot.sequence, "execution in sequence");
    const bundles = executed.map(({ ref }) => bundleOf(ref.digest));
    const writes = this.#outbox.writes();
    ledger.recordExecution(writes, slot, execution, epochs.membership, (digest) => bundleOf(digest).held);
    this.#execution = state;
    for (const { ref } of executed) pool.onExecuted(ref);
    const { self } = epochs;
    if (self !== null) epochs.ownLane?.onExecuted(present(state.lanes[self], "this node's lane"));
    this.#outbox.whenDurable(() => this.#options.onExecuted(execution, slot, bundles));
    this.#gate.onExecuted(state, epochs.engine.status().stable);
    if (epochs.onExecuted(execution, this.#now().nowMs) && changed !== null) return this.#beginEpoch(changed);
    const stateDigest = executionStateDigest(state);
    this.#feed({ kind: "executed", ...this.#now(), sequence: slot.sequence, stateDigest, lanes: state.lanes });
  }

  /** The old engine is heard no more; the new one starts from what its epoch begins with. */
  #beginEpoch(changed: ValidatorSetChanged): void {
    this.#timers.clear();
    this.#events.length = 0;
    this.#outbox.onEpoch();
    this.#gate.onEpoch(this.#execution.epochBase);
    this.#options.pool.onEpoch(this.#options.epochs.network.set);
    // At once: what the new validators sign is checked before the change is on this disk.
    this.#options.onMembers(changed);
    this.#outbox.whenDurable(() => {
      this.#options.onEpoch(changed);
      this.#background(
        this.#options.ledger.forgetEngines(() => this.#outbox.writes(), this.#options.epochs.network.set.epoch),
      );
    });
    this.#feed({ kind: "start", ...this.#now() });
    this.#feed({ kind: "bundles", ...this.#now(), refs: [] });
  }

  async #sync(from: ValidatorIndex, fromSequence: Sequence): Promise<void> {
    const { epochs, observer } = this.#options;
    const { network, engine } = epochs;
    const answer = await this.#fetcher.fetchCommitted(from, fromSequence);
    const opened = answer === null ? null : await openCommitted(network, this.#verification, answer, fromSequence);
    if (engine !== epochs.engine) return;
    if (opened === null) {
      if (answer !== null) observer.onRejected(this.#courier.nodeId(from), "invalid-committed-places");
      return this.#feed({ kind: "sync-failed", ...this.#now(), from });
    }
    this.#feed({ kind: "synced", ...this.#now(), from, slots: opened.slots, checkpoint: opened.checkpoint });
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
    this.#timers.clear();
    this.#options.onFatal(error);
  }
}
