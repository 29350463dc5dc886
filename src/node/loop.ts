import type { CheckpointCertificate, CommittedSlot, Effect, EngineEvent } from "../consensus/engine.ts";
import type { BundleRef } from "../dag/bundle.ts";
import { present, unreachable } from "../lib/assert.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { Equivocation } from "../membership/equivocation.ts";
import type { Nonce, View } from "../membership/ids.ts";
import type { MembershipCommand } from "../membership/membership-command.ts";
import type { ValidatorSetChanged } from "../membership/membership-state.ts";
import { executionStateDigest } from "../replication/executor.ts";
import { BundleExchange } from "./bundle-exchange.ts";
import { Accuser } from "./accuser.ts";
import { answerQuestion } from "./answers.ts";
import { CatchUp } from "./catch-up.ts";
import { EngineQueue } from "./engine-queue.ts";
import { EngineTimers } from "./engine-timers.ts";
import { Inbound } from "./inbound.ts";
import type { StoredBundle } from "./ledger.ts";
import { Courier } from "./courier.ts";
import { Bodies } from "./bodies.ts";
import { DagLoop, type DagParts, lookUpIn } from "./dag-loop.ts";
import { Executing } from "./executing.ts";
import { finalize } from "./finalizing.ts";
import type { Heard } from "./resolutions.ts";
import type { LoopOptions } from "./loop-options.ts";
import { Outbox } from "./outbox.ts";
import type { Lane, PeerInfo, TransportHandler } from "./ports.ts";
import { Reporter } from "./reporter.ts";
import { Speaker } from "./speaker.ts";
import { Speech } from "./speech.ts";
import { SealVerification } from "./verification.ts";

/**
 * The one place where what is ordered meets what is executed, stored and sent. It feeds the engine, performs its effects in
 * their order, and knows no adapter: production and simulator give it their ports.
 */
export class NodeLoop<M> implements TransportHandler {
  readonly #options: LoopOptions<M>;
  readonly #outbox: Outbox;
  readonly #inbound: Inbound<M>;
  readonly #catchUp: CatchUp<M>;
  readonly #exchange: BundleExchange;
  readonly #bodies: Bodies<M>;
  readonly #verification: SealVerification;
  readonly #speech: Speech;
  readonly #speaker: Speaker<M>;
  readonly #accuser: Accuser;
  readonly #courier: Courier<M>;
  readonly #reporter: Reporter<M>;
  readonly #timers: EngineTimers;
  /** Null in a network that orders everything. */
  readonly #dag: DagLoop<M> | null;
  readonly #queue: EngineQueue<M>;
  readonly #executing: Executing;
  #checkpoint: CheckpointCertificate | null;
  #stopped = false;

  constructor(options: LoopOptions<M>) {
    this.#options = options;
    this.#executing = new Executing(options, options.execution, options.resolution);
    this.#checkpoint = options.checkpoint;
    this.#timers = new EngineTimers(options.clock);
    const { epochs } = options;
    this.#queue = new EngineQueue({
      engine: () => epochs.engine,
      perform: (effect) => this.#perform(effect),
      isStopped: () => this.#stopped,
      onFailure: (error) => this.#fail(error),
    });
    this.#verification = new SealVerification(epochs.network, options.verifier);
    this.#outbox = this.#newOutbox();
    this.#exchange = new BundleExchange({
      ...options,
      network: epochs.network,
      self: () => epochs.self,
      ownLane: () => epochs.ownLane,
      outbox: this.#outbox,
      wallMs: () => options.clock.nowMs(),
      isSilent: () => this.#speech.isSilent,
      feedBundles: (refs) => this.#feed({ kind: "bundles", ...this.#now(), refs }),
      onFork: (equivocation) => this.#accuse(equivocation),
      isAccused: (creator) => this.#accuser.isAccused(creator),
    });
    this.#bodies = new Bodies<M>(this.#exchange, () => this.#dag);
    this.#accuser = new Accuser({ epochs, wake: () => this.wake() });
    const isStopped = (): boolean => this.#stopped;
    this.#courier = new Courier<M>({ ...options, heldNonces: () => this.#exchange.heldNonces(), isStopped });
    this.#inbound = this.#newInbound();
    this.#catchUp = new CatchUp<M>({
      ...options,
      courier: this.#courier,
      verification: this.#verification,
      open: (body) => this.#inbound.openBundle(body),
      ...lookUpIn(options.dag),
      onBundles: (bundles, source) => this.#bodies.takeFetched(bundles, source),
      isStopped: () => this.#stopped,
      onFailure: (error) => this.#fail(error),
      feed: (event) => this.#feed(event),
      now: () => this.#now(),
    });
    this.#reporter = new Reporter<M>({
      ...options,
      votedUpTo: (validator) => this.#speech.votedUpTo(validator),
      executed: () => this.#executing.state.sequence,
      say: (command) => this.command(command),
      isStopped: () => this.#stopped,
    });
    this.#speech = this.#newSpeech();
    this.#speaker = new Speaker<M>({
      ...options,
      outbox: this.#outbox,
      verification: this.#verification,
      maySay: (statement) => this.#speech.maySay(statement),
      hear: (signed) => this.#feed({ kind: "message", ...this.#now(), signed }),
    });
    this.#dag = options.dag === null ? null : this.#newDagLoop(options.dag);
  }

  /** Begins to listen, and to vote when enough peers have proved where this node's key stands. */
  start(restored: readonly StoredBundle[]): void {
    this.#begin(restored.map(({ held }) => held.ref));
    this.#speech.hearOut(this.#options.remembered);
    this.#reporter.start();
  }

  /** Why this node keeps silent although it is connected; null where it does not. */
  get silence(): string | null {
    return this.#speech.reason;
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
    return !this.#speech.isSilent && this.#accuser.say(command);
  }

  onPeerConnected(peer: PeerInfo): void {
    const index = this.#options.epochs.network.set.indexOf(peer.nodeId);
    if (index === null) return;
    this.#feed({ kind: "peer-connected", ...this.#now(), peer: index });
    this.#speech.onPeer();
  }

  /** The engine needs no word of it: what matters is who answers, and timers tell that. */
  onPeerDisconnected(): void {}

  async onFrame(peer: NodeId, lane: Lane, frame: Uint8Array): Promise<void> {
    if (!this.#stopped) await this.#inbound.onFrame(peer, lane, frame);
  }

  async onRequest(_peer: NodeId, body: Uint8Array): Promise<Uint8Array> {
    return await answerQuestion(body, {
      ...this.#options,
      checkpoint: this.#checkpoint,
      heardOf: (validator) => this.#speech.heardOf(validator),
      newestOf: (validator) => this.#exchange.newestOf(validator),
      dag: this.#dag?.sources() ?? null,
    });
  }

  #newOutbox(): Outbox {
    const { epochs } = this.#options;
    return new Outbox({
      ...this.#options,
      network: epochs.network,
      self: () => epochs.self,
      send: (addressed) => this.#courier.send(addressed),
      beforeClose: () => this.#bodies.formOwn(),
      onTurn: (turn) => this.#options.observer.onTurn(turn),
      onFailure: (error) => this.#fail(error),
    });
  }

  #newDagLoop(parts: DagParts): DagLoop<M> {
    return new DagLoop<M>({
      ...this.#options,
      parts,
      outbox: this.#outbox,
      catchUp: this.#catchUp,
      connected: () => this.#courier.connected(),
      isSilent: () => this.#speech.isSilent,
      onFork: (equivocation) => this.#accuse(equivocation),
      isAccused: (creator) => this.#accuser.isAccused(creator),
      feed: (event) => this.#feed(event),
      now: () => this.#now(),
      background: (work) => this.#background(work),
      onFailure: (error) => this.#fail(error),
    });
  }

  /** Before `executed`, so that the engine never acts on a log whose decisions it does not know. */
  #feedResolutions(heard: Heard | null): void {
    if (heard !== null && this.#options.epochs.engine.dag !== null) this.#feed({ ...heard, ...this.#now() });
  }

  #newSpeech(): Speech {
    const options = this.#options;
    const { epochs } = options;
    return new Speech({
      ...options,
      network: epochs.network,
      self: () => epochs.self,
      verification: this.#verification,
      ownNonce: () => epochs.ownLane?.tip.nonce ?? (0 as Nonce),
      onDagLane: (nonce) => epochs.dagLane?.awaitUpTo(nonce),
      open: (body) => this.#inbound.openOwnership(body),
      remember: (silence) => options.ledger.recordSilence(this.#outbox.writes(), silence),
      onFree: () => this.#speak(),
      isStopped: () => this.#stopped,
    });
  }

  #newInbound(): Inbound<M> {
    const options = this.#options;
    const { epochs } = options;
    return new Inbound<M>({
      network: epochs.network,
      engine: () => epochs.engine,
      verification: this.#verification,
      onSealed: (peer, lane, frame) => options.inspect(peer, lane, frame),
      isLeaderless: options.dag !== null,
      isBundleWanted: (bundle, digest) => this.#bodies.isWanted(bundle, digest),
      onMessage: (signed) => {
        const statement = epochs.engine.wire.statementOf(signed.message);
        this.#speech.learn(statement, signed.proof);
        this.#feed({ kind: "message", ...this.#now(), signed });
      },
      onBundles: (bundles, sender) => this.#bodies.take(bundles, sender),
      onStatus: (from, frame) => {
        this.#speech.onPeer();
        this.#catchUp.onPeerStatus(from, frame.status);
        this.#feed({ kind: "peer-status", ...this.#now(), from, status: this.#courier.inThisEpoch(frame) });
        this.#exchange.push(from, frame.lanes);
      },
      monotonicMs: () => options.clock.monotonicMs(),
      // Only who is not ahead is answered: two that take each other for outsiders would go on for ever.
      onObserver: (peer, { status }) => {
        if (status.executed <= epochs.engine.status().executed) this.#courier.tellStatus(peer);
      },
      onLaterEpoch: (peer) => {
        this.#courier.tellLater(peer);
        if (epochs.network.set.indexOf(peer) === null) this.#background(this.#catchUp.follow(peer));
      },
      onIgnored: (peer, reason) => options.observer.onIgnored(peer, reason),
      onRejected: (peer, reason) => options.observer.onRejected(peer, reason),
    });
  }

  #feed(event: EngineEvent<M>): void {
    this.#queue.feed(event);
  }

  #perform(effect: Effect<M>): void {
    const { epochs, ledger, observer } = this.#options;
    switch (effect.kind) {
      case "persist":
        return ledger.recordEngine(this.#outbox.writes(), epochs.network.set.epoch, effect.writes);
      case "broadcast":
        return this.#speaker.say(effect.message, "all");
      case "send":
      case "multicast":
        return this.#speaker.say(effect.message, effect.to);
      case "relay":
        return this.#speaker.relay(effect.signed, effect.to);
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
        this.#options.proofs.onCheckpoint(effect.certificate);
        this.#options.pool.forgetSettled(this.#executing.state.lanes);
        return;
      case "fetch-bundles":
        return this.#background(this.#catchUp.fetchBundles(effect.digests, effect.from));
      case "fetch-batches":
        return this.#background(this.#catchUp.fetchBatches(effect.digests, effect.from));
      case "offer-bundles":
        return this.#exchange.offer(effect.digests, effect.to);
      case "sync":
        return this.#background(this.#catchUp.sync(effect.from, effect.fromSequence));
      case "evidence":
        return this.#accuse(effect.equivocation);
      case "divergence":
        return observer.onRejected(this.#courier.nodeId(effect.signer), `divergent-state: at ${effect.sequence}`);
      case "trace":
        return observer.onTrace(effect.trace);
      case "decide":
      case "fetch-vertices":
      case "dag-sync":
      case "report":
      case "partition":
        return present(this.#dag, "the parts of a leaderless network").perform(effect);
      default:
        return unreachable(effect);
    }
  }

  /** What this node itself holds against a validator is counted, told to its operator, and carried to all. */
  #accuse(equivocation: Equivocation): void {
    if (!this.#speech.isSilent) this.#accuser.accuse(equivocation);
    this.#options.observer.onEquivocation(equivocation);
  }

  #finalize(slot: CommittedSlot): void {
    const { epochs } = this.#options;
    const { self } = epochs;
    const background = (work: Promise<void>): void => this.#background(work);
    const ports = { ...this.#options, executing: this.#executing, outbox: this.#outbox, background };
    const { execution, heard } = finalize(slot, ports);
    const { state, changed } = execution;
    this.#speech.onExecuted(state, epochs.engine.status().stable);
    const step = { nowMs: this.#now().nowMs, speaks: self !== null && this.#speech.isFree };
    if (epochs.onExecuted(execution, step) && changed !== null) return this.#beginEpoch(changed, self !== null);
    this.#feedResolutions(heard);
    const stateDigest = executionStateDigest(state);
    this.#feed({ kind: "executed", ...this.#now(), sequence: slot.sequence, stateDigest, lanes: state.lanes });
  }

  /** The old engine is heard no more; the new one starts from what its epoch begins with. */
  #beginEpoch(changed: ValidatorSetChanged, wasValidator: boolean): void {
    this.#timers.clear();
    // Bodies hold in every epoch; all else that waits was meant for the old engine.
    const bodies = this.#queue.clear().filter(({ kind }) => kind === "dag-bundles");
    this.#outbox.onEpoch();
    this.#options.pool.onEpoch(this.#options.epochs.network.set);
    // At once: what the new validators sign is checked before the change is on this disk.
    this.#options.onMembers(changed);
    this.#outbox.whenDurable(() => {
      this.#options.onEpoch(changed);
      this.#background(
        this.#options.ledger.forgetEngines(() => this.#outbox.writes(), this.#options.epochs.network.set.epoch),
      );
    });
    this.#begin();
    for (const event of bodies) this.#feed(event);
    // Who becomes a validator, or waits to be heard out, hears what this set knows of it before it says a word.
    if (this.#options.epochs.self !== null && !(wasValidator && this.#speech.isFree)) {
      this.#speech.hearOut({ vote: this.#executing.state.epochBase, view: 0 as View, silence: null });
    }
  }

  #begin(refs: readonly BundleRef[] = []): void {
    this.#feed({ kind: "start", ...this.#now() });
    this.#feedResolutions(this.#executing.remembered);
    this.#feed({ kind: "bundles", ...this.#now(), refs });
  }

  /**
   * The gate is free: an engine that remembers what this node said takes the listening one's place. From here to there
   * events wait, so that its rows are the last that the listening one wrote.
   */
  #speak(): void {
    const { epochs, ledger } = this.#options;
    this.#queue.hold();
    this.#outbox.whenDurable(() => {
      this.#background(
        ledger.loadEngine(epochs.network.set.epoch).then((rows) => {
          if (this.#stopped) return;
          this.#timers.clear();
          epochs.speak(this.#executing.state.sequence, rows);
          // It begins with what is executed, and sets timers of its own.
          const waiting = this.#queue.release().filter(({ kind }) => kind !== "executed" && kind !== "timer");
          this.#begin();
          for (const event of waiting) this.#feed(event);
        }),
      );
    });
  }

  #now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.#options.clock.monotonicMs(), wallMs: this.#options.clock.nowMs() };
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
