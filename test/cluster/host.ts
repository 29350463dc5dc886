import { decode, encode } from "../../src/codec/codec.ts";
import type { Effect, Engine, EngineEvent, TimerName } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { bundleCodec, bundleFault, bundleStatement, holdBundle } from "../../src/dag/bundle.ts";
import { Lanes } from "../../src/dag/lanes.ts";
import { present, unreachable } from "../../src/lib/assert.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { type Proof, proofCodec, type Signed } from "../../src/membership/seal.ts";
import { statementDigest } from "../../src/membership/statement.ts";
import { type execute, executionStateDigest } from "../../src/replication/executor.ts";
import { type Answer, answerTo, fetchBatches, fetchBundles, type Question, sync } from "./asking.ts";
import type { Cluster } from "./cluster.ts";
import { Disk, type Stored } from "./disk.ts";
import { Violation } from "./invariants.ts";
import { minted, type Packet } from "./packet.ts";
import { allHold, prove } from "./signing.ts";

export interface HostOptions {
  readonly self: ValidatorIndex;
  readonly isCorrect: boolean;
  makeEngine(host: Host): Engine<PbftMessage>;
  readonly execute: typeof execute;
  /** Added to the wall clock, in milliseconds. */
  readonly skewMs: number;
}

/** Own messages come back after about this time: signing and fsync. */
const OWN_DELAY_MS_MAX = 3;

/** Own bundles pushed to a peer whose status shows that it lacks them, at a time. */
const PUSHED_MAX = 8;

/**
 * One node of the virtual cluster around the real engine. Effects are performed one after the other, a write being durable
 * when its turn is over; a crash may come before any of them, and what stood behind it never happened.
 */
export class Host {
  readonly self: ValidatorIndex;
  readonly isCorrect: boolean;
  readonly cluster: Cluster;
  readonly disk: Disk;
  readonly options: HostOptions;
  engine: Engine<PbftMessage> | null = null;
  lanes: Lanes;
  /** Counts the lives: what was asked in one life is not answered in the next. */
  life = 0;
  /** Effects until the next crash; null for none. */
  crashIn: number | null = null;
  readonly asked: Set<Hash> = new Set();
  readonly #timers = new Map<TimerName, () => void>();
  readonly #events: EngineEvent<PbftMessage>[] = [];

  constructor(cluster: Cluster, options: HostOptions) {
    this.cluster = cluster;
    this.options = options;
    this.self = options.self;
    this.isCorrect = options.isCorrect;
    this.disk = new Disk(cluster.network);
    this.lanes = new Lanes(cluster.network, this.disk.execution.lanes);
  }

  get isUp(): boolean {
    return this.engine !== null;
  }

  get armedTimers(): readonly TimerName[] {
    return [...this.#timers.keys()];
  }

  start(): void {
    this.life += 1;
    this.lanes = new Lanes(this.cluster.network, this.disk.execution.lanes);
    this.asked.clear();
    this.engine = this.options.makeEngine(this);
    this.cluster.invariants.onRestart(this.self);
    const refs = this.disk.waiting().map(({ held }) => held.ref);
    const events: EngineEvent<PbftMessage>[] = [
      { kind: "bundles", ...this.now(), refs },
      { kind: "start", nowMs: this.cluster.schedule.nowMs },
    ];
    // The node's loop starts the engine first when it had to wait for its peers, else last.
    for (const event of this.cluster.random.chance(0.5) ? events : events.reverse()) this.feed(event);
  }

  crash(): void {
    this.engine = null;
    this.crashIn = null;
    this.life += 1;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#events.length = 0;
    this.cluster.onCrash(this);
  }

  now(): { readonly nowMs: number; readonly wallMs: number } {
    const { nowMs } = this.cluster.schedule;
    return { nowMs, wallMs: 1_700_000_000_000 + Math.floor(nowMs) + this.options.skewMs };
  }

  /** Takes payloads of clients into the next bundle of this node's lane. */
  submit(payloads: readonly Uint8Array[], fork = false): void {
    if (!this.isUp) return;
    const tip = this.disk.laneEnd(this.cluster.network, this.self);
    const one = this.#formBundle(tip, payloads);
    this.cluster.onSubmitted(this, one);
    const others = this.cluster.others(this.self);
    if (fork) {
      const two = this.#formBundle(tip, [...payloads, new Uint8Array([0xfb])]);
      for (const to of others) this.cluster.send(this.self, to, bundlePacket(to % 2 === 0 ? one : two));
    } else {
      for (const to of others) this.cluster.send(this.self, to, bundlePacket(one));
    }
    this.feed({ kind: "bundles", ...this.now(), refs: [one.held.ref] });
  }

  receive(from: ValidatorIndex, packet: Packet): void {
    const { engine } = this;
    if (engine === null) return;
    const { network } = this.cluster;
    switch (packet.kind) {
      case "message": {
        const message = engine.wire.decode(packet.body);
        const proof = decode(proofCodec, packet.proof);
        const { signer } = proof.seal;
        if (!network.set.has(signer) || engine.screen(signer, message).kind !== "accept") return;
        const inner = engine.wire.obligationsOf(message);
        if (inner === null) return;
        const leaf = statementDigest(network, engine.wire.statementOf(message));
        if (!allHold(network, [{ leaf, proof }, ...inner])) return;
        return this.feed({ kind: "message", ...this.now(), signed: minted({ message, proof }) });
      }
      case "bundle": {
        const stored = this.openBundle(packet.body, packet.proof);
        if (stored !== null && stored.held.bundle.creator !== this.self) this.takeBundles([stored]);
        return;
      }
      case "status":
        this.feed({ kind: "peer-status", nowMs: this.cluster.schedule.nowMs, from, status: packet.status });
        return this.#pushBundles(from, packet.lanes);
      case "connected":
        return this.feed({ kind: "peer-connected", nowMs: this.cluster.schedule.nowMs, peer: from });
      default:
        return unreachable(packet);
    }
  }

  openBundle(body: Uint8Array, encodedProof: Uint8Array): Stored | null {
    const { network } = this.cluster;
    const bundle = decode(bundleCodec, body);
    const proof = decode(proofCodec, encodedProof);
    if (bundleFault(network, bundle) !== null || proof.seal.signer !== bundle.creator) return null;
    const held = holdBundle(network, bundle);
    const leaf = statementDigest(network, bundleStatement(held.ref));
    return allHold(network, [{ leaf, proof }]) ? { held, body, proof } : null;
  }

  takeBundles(bundles: readonly Stored[]): void {
    for (const stored of bundles) this.disk.bundles.set(stored.held.ref.digest, stored);
    this.feed({ kind: "bundles", ...this.now(), refs: bundles.map(({ held }) => held.ref) });
  }

  /** Null where this node does not answer. */
  answer(question: Question): Answer | null {
    return answerTo(this, question);
  }

  feed(event: EngineEvent<PbftMessage>): void {
    this.#events.push(event);
    if (this.#events.length > 1) return;
    const { life } = this;
    for (let next = this.#events[0]; next !== undefined; next = this.#events[0]) {
      const { engine } = this;
      if (engine === null) return;
      try {
        this.#performAll(engine, engine.step(next));
      } catch (error) {
        if (this.isCorrect || error instanceof Violation) throw error;
        this.crash();
      }
      if (this.life !== life) return;
      this.cluster.events += 1;
      if (this.isCorrect) this.cluster.invariants.onStep(this.self, engine.status());
      this.#events.shift();
    }
  }

  #performAll(engine: Engine<PbftMessage>, effects: readonly Effect<PbftMessage>[]): void {
    const { network } = this.cluster;
    const said = effects.filter((effect) => effect.kind === "broadcast" || effect.kind === "send");
    const leaves = said.map(({ message }) => statementDigest(network, engine.wire.statementOf(message)));
    const proofs = said.length === 0 ? [] : prove(network, this.self, leaves);
    let at = 0;
    for (const effect of effects) {
      if (this.crashIn !== null && this.crashIn-- <= 0) return this.crash();
      const isSaid = effect.kind === "broadcast" || effect.kind === "send";
      this.#perform(engine, effect, isSaid ? (proofs[at++] ?? null) : null);
    }
  }

  #perform(engine: Engine<PbftMessage>, effect: Effect<PbftMessage>, proof: Proof | null): void {
    const { cluster, self } = this;
    cluster.observe(this, effect);
    switch (effect.kind) {
      case "persist":
        return this.disk.write(effect.writes);
      case "broadcast": {
        const signed = { message: effect.message, proof: present(proof, "a proof") };
        const packet = messagePacket(engine, signed);
        for (const to of cluster.others(self)) cluster.send(self, to, packet);
        return this.#handBack(signed);
      }
      case "send": {
        const signed = { message: effect.message, proof: present(proof, "a proof") };
        if (effect.to === self) return this.#handBack(signed);
        return cluster.send(self, effect.to, messagePacket(engine, signed));
      }
      case "relay":
        return cluster.send(self, effect.to, messagePacket(engine, effect.signed));
      case "status": {
        const packet: Packet = { kind: "status", status: effect.status, lanes: this.#heldLanes() };
        for (const to of effect.to === "all" ? cluster.others(self) : [effect.to]) cluster.send(self, to, packet);
        return;
      }
      case "set-timer": {
        this.#timers.get(effect.name)?.();
        const { name, atMs } = effect;
        this.#timers.set(
          name,
          cluster.schedule.at(atMs, () => this.#fire(name)),
        );
        return;
      }
      case "cancel-timer":
        this.#timers.get(effect.name)?.();
        this.#timers.delete(effect.name);
        return;
      case "finalize":
        return this.#finalize(effect.slot);
      case "fetch-bundles":
        return fetchBundles(this, effect.digests, effect.from);
      case "fetch-batches":
        return fetchBatches(this, effect.digests, effect.from);
      case "offer-bundles":
        for (const digest of effect.digests) {
          const stored = this.disk.bundles.get(digest);
          if (stored !== undefined) cluster.send(self, effect.to, bundlePacket(stored));
        }
        return;
      case "sync":
        return sync(this, effect.from, effect.fromSequence);
      case "checkpoint":
      case "evidence":
      case "divergence":
      case "trace":
      case "multicast":
      case "decide":
      case "fetch-vertices":
      case "dag-sync":
      case "report":
      case "partition":
        return;
      default:
        return unreachable(effect);
    }
  }

  #fire(name: TimerName): void {
    this.#timers.delete(name);
    this.feed({ kind: "timer", ...this.now(), name });
  }

  #handBack(signed: Signed<PbftMessage>): void {
    const { life } = this;
    this.cluster.schedule.after(this.cluster.random.between(0, OWN_DELAY_MS_MAX), () => {
      if (this.life === life) this.feed({ kind: "message", ...this.now(), signed: minted(signed) });
    });
  }

  #finalize(slot: Extract<Effect<PbftMessage>, { kind: "finalize" }>["slot"]): void {
    const { state, executed } = this.options.execute(this.cluster.network, this.disk.execution, slot.batch, {
      membership: this.cluster.membership,
      bundleOf: (digest) => present(this.lanes.get(digest), `the held bundle ${digest}`),
      commandsOf: () => [],
    });
    this.disk.record(slot, state);
    const bundles = executed.map(({ ref }) => present(this.disk.bundles.get(ref.digest), "a durable bundle").held);
    if (this.isCorrect) this.cluster.invariants.onExecuted(this.self, slot, bundles);
    const stateDigest = executionStateDigest(state);
    this.#events.push({ kind: "executed", ...this.now(), sequence: slot.sequence, stateDigest, lanes: state.lanes });
  }

  #formBundle(tip: { readonly nonce: Nonce; readonly tip: Hash }, payloads: readonly Uint8Array[]): Stored {
    const { network } = this.cluster;
    const held = holdBundle(network, {
      creator: this.self,
      term: 0 as Epoch,
      purpose: "application",
      firstNonce: (tip.nonce + 1) as Nonce,
      timestampMs: this.now().wallMs,
      parents: [tip.tip],
      payloads,
    });
    const [proof] = prove(network, this.self, [statementDigest(network, bundleStatement(held.ref))]);
    const stored = { held, body: encode(bundleCodec, held.bundle), proof: present(proof, "a proof") };
    this.disk.bundles.set(held.ref.digest, stored);
    return stored;
  }

  #heldLanes(): readonly number[] {
    return this.cluster.network.set.indices().map((creator) => {
      if (creator === this.self) return this.disk.laneEnd(this.cluster.network, creator).nonce;
      let tip = this.lanes.executed(creator);
      for (let next = this.lanes.next(creator, tip); next !== undefined; next = this.lanes.next(creator, tip)) {
        tip = { nonce: (next.firstNonce + next.count - 1) as Nonce, tip: next.tip };
      }
      return tip.nonce;
    });
  }

  #pushBundles(to: ValidatorIndex, lanes: readonly number[]): void {
    const held = lanes[this.self] ?? 0;
    const missing = this.disk.waiting(this.self).filter((stored) => stored.held.ref.firstNonce > held);
    for (const stored of missing.slice(0, PUSHED_MAX)) this.cluster.send(this.self, to, bundlePacket(stored));
  }
}

export function bundlePacket({ body, proof }: Stored): Packet {
  return { kind: "bundle", body, proof: encode(proofCodec, proof) };
}

function messagePacket(engine: Engine<PbftMessage>, { message, proof }: Signed<PbftMessage>): Packet {
  return { kind: "message", body: engine.wire.encode(message), proof: encode(proofCodec, proof) };
}
