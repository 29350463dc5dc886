import { encode } from "../../codec/codec.ts";
import { AvalancheCore } from "../../consensus/avalanche/core.ts";
import { type AvalancheMessage, encodeMessage } from "../../consensus/avalanche/messages.ts";
import type { DagDecision, DagEvent } from "../../consensus/dag-engine.ts";
import type { Effect, TimerName } from "../../consensus/engine.ts";
import { ML_DSA_87_SIGNATURE_BYTES } from "../../crypto/signature.ts";
import { bundleCodec, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Proof } from "../../membership/seal.ts";
import { bundleUs, type StepKind, wireUs } from "./avalanche-charges.ts";
import { Machine } from "./avalanche-machine.ts";
import { coreOptionsOf, TapedCore } from "./avalanche-memory-tape.ts";
import { Received } from "./avalanche-received.ts";
import { closeTurn, type Parcel, type Said } from "./avalanche-turn.ts";
import type { Asker, ScaleWorld } from "./avalanche-world.ts";
import { SEAL_BYTES } from "./work.ts";

/** As `TURNS_UNDER_WAY_MAX` of node/outbox.ts. */
const TURNS_UNDER_WAY_MAX = 2;

/** Rows of one bundle that is stored, decided and settled: body, standing, place, two indices (node/dag-ledger.ts). */
const BUNDLE_ROWS = 6;

/** And of each of its vertices: its place in the local order, and where it is found. */
const VERTEX_ROWS = 2;

interface Final {
  readonly submittedMs: number;
  readonly polls: number;
}

/** One validator of the network: the real engine, its machine, and turns as node/outbox.ts makes them. */
export class ScaleNode implements Asker {
  readonly index: ValidatorIndex;
  readonly machine: Machine;
  readonly core: AvalancheCore;
  /** Null where it shares what it gets with the other nodes of this process. */
  readonly received: Received | null;
  /** Vertices of this node's clients that are neither in a bundle nor lost, by when they came. */
  readonly #queue: number[] = [];
  readonly #network: ScaleWorld;
  readonly #others: readonly ValidatorIndex[];
  readonly #proof: Proof;
  readonly #timers = new Map<TimerName, () => void>();
  /** When the vertices of each own open bundle were submitted. */
  readonly #own = new Map<string, readonly number[]>();
  #tip: { nonce: number; tip: HeldBundle["ref"]["tip"] };
  #said: Said[] = [];
  #rows = 0;
  #rowBytes = 0;
  #finals: Final[] = [];
  #isScheduled = false;
  #isArmed = false;
  #closedAtMs = Number.NEGATIVE_INFINITY;
  #underWay = 0;
  #leavesAtMs = 0;

  constructor(network: ScaleWorld, index: ValidatorIndex) {
    const { context, options } = network;
    this.#network = network;
    this.index = index;
    this.machine = new Machine(options.costs);
    this.#others = context.set.indices().filter((other) => other !== index);
    const signature = { mlDsa: new Uint8Array(ML_DSA_87_SIGNATURE_BYTES), ed25519: null };
    this.#proof = { seal: { signer: index, leafCount: 1, signature }, leafIndex: 0, path: [] };
    this.#tip = { nonce: 0, tip: context.genesis };
    const tape = index === 0 ? (options.tape ?? null) : null;
    this.received = index < options.copying ? new Received(context, tape) : null;
    const youth = coreOptionsOf(context, index, options.params, network.randomOf(index));
    this.core = tape === null ? new AvalancheCore(youth) : new TapedCore(youth, tape);
  }

  start(): void {
    this.#perform(this.core.start(0), 0);
  }

  /** A client's request with one vertex. */
  submit(nowMs: number): void {
    this.#queue.push(nowMs);
    this.#wake(this.machine.loop(nowMs, this.#network.options.costs.requestUs / 2));
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Own vertices in bundles that are not settled. */
  get open(): number {
    let open = 0;
    for (const times of this.#own.values()) open += times.length;
    return open;
  }

  /** All frames of one turn of another node, at the end of its way. */
  receive(parcel: Parcel, nowMs: number): void {
    const { costs } = this.#network.options;
    const thereMs = this.machine.receive(nowMs, parcel.bytes);
    const ids = parcel.bundles.reduce(
      (sum, { ref }) => sum + bundleUs(ref.count, this.#network.bytesOf(ref), costs),
      0,
    );
    const us = wireUs(parcel.bytes, costs) + parcel.openUs + ids + costs.verifyLoopUs;
    const openedMs = this.machine.loop(thereMs, us);
    const checkedMs = this.machine.pool(openedMs, costs.verifyUs - costs.verifyLoopUs);
    this.#network.schedule.at(checkedMs, () => this.#take(parcel, checkedMs));
  }

  /** Bundles that were asked for. */
  receiveFetched(bundles: readonly HeldBundle[], nowMs: number): void {
    const { costs } = this.#network.options;
    const us = bundles.reduce((sum, { ref }) => sum + bundleUs(ref.count, this.#network.bytesOf(ref), costs), 0);
    const own = this.received === null ? bundles : bundles.map((held) => this.received?.copyOf(held) ?? held);
    this.#arrive(own, this.machine.loop(nowMs, us + costs.wireFixedUs));
  }

  onEvent(event: DagEvent): void {
    this.#step("timer", 0, event.nowMs, (nowMs) => this.core.onEvent({ ...event, nowMs }));
  }

  #take(parcel: Parcel, nowMs: number): void {
    if (this.received !== null) {
      const { bundles, messages } = this.received.open(parcel);
      if (bundles.length > 0) this.#arrive(bundles, nowMs);
      for (const { message, proof } of messages) this.#hear(message, proof, nowMs);
      return;
    }
    if (parcel.bundles.length > 0) this.#arrive(parcel.bundles, nowMs);
    const proof = this.#network.proofOf(parcel.from);
    for (const message of parcel.messages) this.#hear(message, proof, nowMs);
  }

  #arrive(bundles: readonly HeldBundle[], nowMs: number): void {
    let vertices = 0;
    for (const { ref } of bundles) {
      vertices += ref.count;
      this.#store(BUNDLE_ROWS, this.#network.bytesOf(ref) + SEAL_BYTES, nowMs);
    }
    const arrivals = bundles.map((held) => ({ held, lost: [], settled: null }));
    this.#step("bundles", vertices, nowMs, (stepMs) =>
      this.core.onEvent({ kind: "dag-bundles", nowMs: stepMs, wallMs: stepMs, bundles: arrivals }),
    );
  }

  #hear(message: AvalancheMessage, proof: Proof, nowMs: number): void {
    this.#step(message.kind, unitsOf(message), nowMs, (stepMs) => {
      if (this.core.screen(message).kind !== "accept") return [];
      return this.core.onMessage({ message, proof }, stepMs);
    });
  }

  #step(
    kind: StepKind,
    units: number,
    nowMs: number,
    run: (nowMs: number) => readonly Effect<AvalancheMessage>[],
  ): void {
    const { fixedUs, perUnitUs } = this.#network.options.engineCosts[kind];
    const doneMs = this.machine.loop(nowMs, fixedUs + units * perUnitUs);
    const effects = this.#network.meter.run(kind, units, () => run(doneMs));
    this.#perform(effects, doneMs);
  }

  #perform(effects: readonly Effect<AvalancheMessage>[], nowMs: number): void {
    for (const effect of effects) this.#performOne(effect, nowMs);
  }

  #performOne(effect: Effect<AvalancheMessage>, nowMs: number): void {
    switch (effect.kind) {
      case "broadcast":
        return this.#say({ content: effect.message, bytes: encodeMessage(effect.message).length, to: "all" }, nowMs);
      case "multicast":
        return this.#say(
          { content: effect.message, bytes: encodeMessage(effect.message).length, to: effect.to },
          nowMs,
        );
      case "send":
        return this.#say(
          { content: effect.message, bytes: encodeMessage(effect.message).length, to: [effect.to] },
          nowMs,
        );
      case "persist":
        return this.#store(
          effect.writes.length,
          effect.writes.reduce((sum, { value }) => sum + (value?.length ?? 0) + 64, 0),
          nowMs,
        );
      case "decide":
        return this.#decide(effect.decisions, nowMs);
      case "set-timer":
        this.#timers.get(effect.name)?.();
        this.#timers.set(
          effect.name,
          this.#network.schedule.at(Math.max(effect.atMs, nowMs), () => {
            const atMs = Math.max(effect.atMs, nowMs);
            this.#step("timer", 0, atMs, (stepMs) => this.core.onTimer(effect.name, stepMs));
          }),
        );
        return;
      case "cancel-timer":
        this.#timers.get(effect.name)?.();
        this.#timers.delete(effect.name);
        return;
      case "fetch-vertices":
        return this.#network.fetch(this, effect.tips, nowMs);
      case "fetch-bundles":
        return this.#network.fetch(this, effect.digests, nowMs);
      case "dag-sync":
        return this.#network.sync(this, effect.from, nowMs);
      default:
        return;
    }
  }

  #decide(decisions: readonly DagDecision[], nowMs: number): void {
    for (const { bundle, place, accepted, polls } of decisions) {
      this.#store(place === null ? 0 : 1, 64, nowMs);
      this.#store(VERTEX_ROWS * accepted.length, 64 * accepted.length, nowMs);
      const submitted = this.#own.get(bundle);
      if (submitted === undefined) continue;
      for (const vertex of accepted) this.#finals.push({ submittedMs: submitted[vertex] ?? nowMs, polls });
      this.#own.delete(bundle);
    }
  }

  #say(said: Said, nowMs: number): void {
    this.#said.push(said);
    this.#wake(nowMs);
  }

  #store(rows: number, bytes: number, nowMs: number): void {
    if (rows === 0) return;
    const { costs } = this.#network.options;
    this.#rows += rows;
    this.#rowBytes += bytes;
    this.machine.loop(nowMs, rows * costs.rowUs + (bytes / 1_024) * costs.encodePerKiBUs);
    this.#wake(nowMs);
  }

  #wake(nowMs: number): void {
    this.#isScheduled = true;
    this.#closeSoon(nowMs);
  }

  #closeSoon(nowMs: number): void {
    if (!this.#isScheduled || this.#isArmed || this.#underWay >= TURNS_UNDER_WAY_MAX) return;
    this.#isArmed = true;
    const dueMs = Math.max(nowMs, this.#closedAtMs + this.#network.options.turnMs);
    this.#network.schedule.at(dueMs, () => {
      this.#isArmed = false;
      this.#close(dueMs);
    });
  }

  #close(dueMs: number): void {
    // Whatever the loop still has to do came before this timer.
    const nowMs = this.machine.loop(dueMs, 0);
    this.#closedAtMs = nowMs;
    this.#isScheduled = false;
    const own = this.#form(nowMs);
    const [said, rows, rowBytes, finals] = [this.#said, this.#rows, this.#rowBytes, this.#finals];
    [this.#said, this.#rows, this.#rowBytes, this.#finals] = [[], 0, 0, []];
    const { costs } = this.#network.options;
    const turn = closeTurn(this.index, said, { others: this.#others, costs });
    const sealedMs = this.machine.loop(nowMs, turn.sealUs);
    const durableMs = rows === 0 ? sealedMs : this.machine.write(sealedMs, rows, rowBytes);
    this.#leavesAtMs = Math.max(this.#leavesAtMs, durableMs);
    this.#underWay += 1;
    const leavesMs = this.#leavesAtMs;
    this.#network.schedule.at(leavesMs, () => {
      this.#underWay -= 1;
      this.#network.onFinal(finals, leavesMs);
      this.#leave(turn.parcels, turn.encodeUs, leavesMs);
      if (own !== null) this.#arrive([own], leavesMs);
      for (const { content, to } of said)
        if (to === "all" && "kind" in content) this.#hear(content, this.#proof, leavesMs);
      this.#closeSoon(leavesMs);
    });
  }

  #leave(parcels: ReadonlyMap<ValidatorIndex, Parcel>, encodeUs: number, nowMs: number): void {
    const { costs } = this.#network.options;
    let us = encodeUs;
    for (const { bytes } of parcels.values()) us += wireUs(bytes, costs);
    const doneMs = this.machine.loop(nowMs, us);
    for (const [to, parcel] of parcels) {
      const sentMs = this.machine.send(doneMs, parcel.bytes);
      this.#network.carry(parcel, to, sentMs + costs.linkLatencyUs / 1_000);
    }
  }

  /** What clients gave since the turn before, as one bundle. */
  #form(nowMs: number): HeldBundle | null {
    const count = Math.min(this.#queue.length, BUNDLE_VERTICES_MAX);
    if (count === 0) return null;
    const { context, options } = this.#network;
    const submitted = this.#queue.splice(0, count);
    const held = holdBundle(context, {
      creator: this.index,
      term: context.set.termOf(this.index),
      purpose: "dag",
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: Math.floor(nowMs),
      parents: [this.#tip.tip, this.core.secondParent(nowMs)],
      payloads: submitted.map(() => this.#network.payload),
    });
    this.#tip = { nonce: this.#tip.nonce + count, tip: held.ref.tip };
    this.#own.set(held.ref.digest, submitted);
    const { length } = encode(bundleCodec, held.bundle);
    this.#network.register(held, length);
    this.machine.loop(nowMs, bundleUs(count, length, options.costs));
    this.#said.push({ content: held, bytes: length, to: "all" });
    // The bundle with its proof goes into the turn that signs it.
    return held;
  }
}

function unitsOf(message: AvalancheMessage): number {
  switch (message.kind) {
    case "query":
      return message.lanes.reduce((sum, lane) => sum + lane.length, 0);
    case "answer":
      return message.heads.length;
    default:
      return message.entries.length;
  }
}
