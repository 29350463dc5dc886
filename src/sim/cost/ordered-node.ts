import { encode } from "../../codec/codec.ts";
import type { CommittedSlot, Effect, Engine, EngineEvent, TimerName, Verified } from "../../consensus/engine.ts";
import { bundleCodec, type HeldBundle, holdBundle } from "../../dag/bundle.ts";
import { BUNDLE_VERTICES_MAX } from "../../dag/limits.ts";
import { type LaneTip, Lanes } from "../../dag/lanes.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Seal, Signed } from "../../membership/seal.ts";
import { KEPT_SEALS_MAX } from "../../node/kept-seals.ts";
import { bundleUs, wireUs } from "./avalanche-charges.ts";
import { Machine } from "./avalanche-machine.ts";
import { closeOrderedTurn, type OrderedSaid, type OrderedTurn } from "./ordered-turn.ts";
import type { OrderedParcel, OrderedWorld } from "./ordered-world.ts";
import { SEAL_BYTES } from "./work.ts";

/** As `TURNS_UNDER_WAY_MAX` and `TURN_INTERVAL_MS` of node/outbox.ts. */
const TURNS_UNDER_WAY_MAX = 2;
const TURN_MS = 6;

/** One step of an engine on the event loop; `measuredStepUs` of the figures says what steps took here. */
export const STEP_US = 20;

/** As in `work.ts`: rows of a bundle and of a place of the log, and the digests over them. */
const BUNDLE_ROWS = 6;
const SLOT_ROWS = 4;
const DIGESTS_PER_BUNDLE = 8;
const DIGESTS_PER_SLOT = 8;

/** Digests from one statement in a certificate to the root that its signer signed. */
const PATH_DIGESTS = 4;

interface Request {
  readonly submittedMs: number;
  readonly vertices: number;
}

/** One validator: the real engine, its machine, and turns as node/outbox.ts makes them. */
export class OrderedNode<M> {
  readonly index: ValidatorIndex;
  readonly machine: Machine;
  readonly #engine: Engine<M>;
  readonly #lanes: Lanes;
  readonly #world: OrderedWorld<M>;
  readonly #others: readonly ValidatorIndex[];
  readonly #tips: LaneTip[];
  readonly #timers = new Map<TimerName, () => void>();
  readonly #own = new Map<Hash, readonly Request[]>();
  /** Seals that were checked once, in the order in which they were; as `KeptSeals`. */
  readonly #checked = new Set<Seal>();
  #queue: Request[] = [];
  #tip: LaneTip;
  #said: OrderedSaid<M>[] = [];
  #rows = 0;
  #rowBytes = 0;
  #finals: Request[] = [];
  #isScheduled = false;
  #isArmed = false;
  #closedAtMs = Number.NEGATIVE_INFINITY;
  #underWay = 0;
  #leavesAtMs = 0;

  constructor(world: OrderedWorld<M>, index: ValidatorIndex) {
    const { context, options } = world;
    this.#world = world;
    this.index = index;
    this.machine = new Machine(options.costs);
    this.#others = context.set.indices().filter((other) => other !== index);
    this.#tip = { nonce: 0 as Nonce, tip: context.genesis };
    this.#tips = context.set.indices().map(() => this.#tip);
    this.#lanes = new Lanes(context, [...this.#tips]);
    this.#engine = options.makeEngine(context, index, this.#lanes);
  }

  start(): void {
    this.#step(0, (nowMs) => ({ kind: "start", nowMs, wallMs: nowMs }) as EngineEvent<M>);
  }

  submit(nowMs: number): void {
    const { costs, verticesPerRequest } = this.#world.options;
    this.#queue.push({ submittedMs: nowMs, vertices: verticesPerRequest });
    const us = (costs.requestUs + (verticesPerRequest - 1) * costs.requestVertexUs) / 2;
    this.#wake(this.machine.loop(nowMs, us));
  }

  /** All frames of one turn of another node, at the end of its way. */
  receive(parcel: OrderedParcel<M>, nowMs: number): void {
    const { costs } = this.#world.options;
    const thereMs = this.machine.receive(nowMs, parcel.bytes);
    const ids = parcel.bundles.reduce(
      (sum, { ref }) => sum + bundleUs(ref.count, this.#world.bytesOf(ref.digest), costs),
      0,
    );
    const openedMs = this.machine.loop(thereMs, wireUs(parcel.bytes, costs) + parcel.openUs + ids);
    const wanted = parcel.messages.filter(({ message, proof }) => {
      return this.#engine.screen(proof.seal.signer, message).kind === "accept";
    });
    const inner = wanted.flatMap(({ message }) => this.#engine.wire.obligationsOf(message) ?? []);
    const seals = new Set([...wanted.map(({ proof }) => proof.seal), ...inner.map(({ proof }) => proof.seal)]);
    // Bundles are of the same turn, and under the same signature, as what is said beside them.
    const isBare = parcel.bundles.length > 0 && wanted.length === 0;
    const checks = [...seals].filter((seal) => !this.#checked.has(seal));
    for (const seal of checks) this.#remember(seal);
    const count = checks.length + (isBare ? 1 : 0);
    const loopUs = count * costs.verifyLoopUs + inner.length * PATH_DIGESTS * costs.hashFixedUs;
    let checkedMs = this.machine.loop(openedMs, loopUs);
    for (let check = 0; check < count; check++) {
      checkedMs = Math.max(checkedMs, this.machine.pool(openedMs, costs.verifyUs - costs.verifyLoopUs));
    }
    this.#world.schedule.at(checkedMs, () => {
      this.#arrive(parcel.bundles, checkedMs);
      for (const signed of wanted) this.#hear(signed, checkedMs);
    });
  }

  #remember(seal: Seal): void {
    this.#checked.add(seal);
    const [oldest] = this.#checked;
    if (this.#checked.size > KEPT_SEALS_MAX && oldest !== undefined) this.#checked.delete(oldest);
  }

  #arrive(bundles: readonly HeldBundle[], nowMs: number): void {
    if (bundles.length === 0) return;
    for (const { ref } of bundles) this.#store(BUNDLE_ROWS, this.#world.bytesOf(ref.digest) + SEAL_BYTES, nowMs);
    const refs = bundles.map(({ ref }) => ref);
    this.#step(nowMs, (atMs) => ({ kind: "bundles", nowMs: atMs, wallMs: Math.floor(atMs), refs }));
  }

  #hear(signed: Signed<M>, nowMs: number): void {
    const verified = signed as Verified<Signed<M>>;
    this.#step(nowMs, (atMs) => ({ kind: "message", nowMs: atMs, wallMs: Math.floor(atMs), signed: verified }));
  }

  #step(nowMs: number, eventAt: (nowMs: number) => EngineEvent<M>): void {
    const doneMs = this.machine.loop(nowMs, STEP_US);
    const began = process.threadCpuUsage();
    const effects = this.#engine.step(eventAt(doneMs));
    const took = process.threadCpuUsage(began);
    this.#world.onStep(took.user + took.system);
    for (const effect of effects) this.#perform(effect, doneMs);
  }

  #perform(effect: Effect<M>, nowMs: number): void {
    switch (effect.kind) {
      case "broadcast":
        return this.#say(effect.message, "all", nowMs);
      case "send":
        return this.#say(effect.message, [effect.to], nowMs);
      case "multicast":
        return this.#say(effect.message, effect.to, nowMs);
      case "relay":
        return this.#passOn(effect.signed, effect.to, nowMs);
      case "persist":
        return this.#store(
          effect.writes.length,
          effect.writes.reduce((sum, { value }) => sum + (value?.length ?? 0) + 64, 0),
          nowMs,
        );
      case "finalize":
        return this.#execute(effect.slot, nowMs);
      case "set-timer":
        return this.#setTimer(effect.name, Math.max(effect.atMs, nowMs));
      case "cancel-timer":
        this.#timers.get(effect.name)?.();
        this.#timers.delete(effect.name);
        return;
      case "fetch-bundles": {
        const found = effect.digests.flatMap((digest) => this.#world.heldOf(digest) ?? []);
        const atMs = nowMs + (2 * this.#world.options.costs.linkLatencyUs) / 1_000 + TURN_MS;
        this.#world.schedule.at(atMs, () => this.#arrive(found, atMs));
        return;
      }
      default:
        return;
    }
  }

  #setTimer(name: TimerName, atMs: number): void {
    this.#timers.get(name)?.();
    const cancel = this.#world.schedule.at(atMs, () => {
      this.#step(
        atMs,
        (stepMs) => ({ kind: "timer", name, nowMs: stepMs, wallMs: Math.floor(stepMs) }) as EngineEvent<M>,
      );
    });
    this.#timers.set(name, cancel);
  }

  #passOn(signed: Signed<M>, to: ValidatorIndex, nowMs: number): void {
    const { costs } = this.#world.options;
    const bytes = this.#engine.wire.encode(signed.message).length + SEAL_BYTES;
    const parcel = { from: this.index, bytes, openUs: 2 * costs.encodeFixedUs, messages: [signed], bundles: [] };
    this.#leave(new Map([[to, parcel]]), costs.encodeFixedUs, nowMs);
  }

  #execute({ sequence, batch, certificate }: CommittedSlot, nowMs: number): void {
    const { costs } = this.#world.options;
    let vertices = 0;
    for (const digest of batch.bundles) {
      const ref = present(this.#lanes.get(digest), "a held bundle");
      const tip = present(this.#tips[ref.creator], "a lane");
      if (ref.firstNonce === tip.nonce + 1 && ref.previous === tip.tip) {
        this.#tips[ref.creator] = { nonce: (ref.firstNonce + ref.count - 1) as Nonce, tip: ref.tip };
        vertices += ref.count;
      }
      this.#finals.push(...(this.#own.get(digest) ?? []));
      this.#own.delete(digest);
    }
    this.#world.onSlot(this.index);
    const digests = DIGESTS_PER_BUNDLE * batch.bundles.length + DIGESTS_PER_SLOT;
    const doneMs = this.machine.loop(nowMs, digests * costs.hashFixedUs);
    // What a bundle holds was written when it came; now each vertex gets its place.
    this.#store(SLOT_ROWS + vertices, certificate.proofs.length * SEAL_BYTES + vertices * 8, doneMs);
    const lanes = [...this.#tips];
    // A place's digest stands for the state after it: all execute the same.
    this.#world.schedule.at(doneMs, () => {
      this.#step(doneMs, (atMs) => ({
        kind: "executed",
        nowMs: atMs,
        wallMs: Math.floor(atMs),
        sequence,
        stateDigest: certificate.digest,
        lanes,
      }));
    });
  }

  #say(message: M, to: OrderedSaid<M>["to"], nowMs: number): void {
    this.#said.push({ content: { message }, bytes: this.#engine.wire.encode(message).length, to });
    this.#wake(nowMs);
  }

  #store(rows: number, bytes: number, nowMs: number): void {
    if (rows === 0) return;
    const { costs } = this.#world.options;
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
    const dueMs = Math.max(nowMs, this.#closedAtMs + TURN_MS);
    this.#world.schedule.at(dueMs, () => {
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
    const { costs } = this.#world.options;
    const turn = closeOrderedTurn(this.index, said, { others: this.#others, costs });
    const sealedMs = this.machine.loop(nowMs, turn.sealUs);
    const durableMs = rows === 0 ? sealedMs : this.machine.write(sealedMs, rows, rowBytes);
    this.#leavesAtMs = Math.max(this.#leavesAtMs, durableMs);
    this.#underWay += 1;
    const leavesMs = this.#leavesAtMs;
    this.#world.schedule.at(leavesMs, () => this.#onDurable(turn, { own, finals }, leavesMs));
  }

  #onDurable(
    turn: OrderedTurn<M>,
    { own, finals }: { readonly own: HeldBundle | null; readonly finals: readonly Request[] },
    nowMs: number,
  ): void {
    this.#underWay -= 1;
    for (const { submittedMs, vertices } of finals) {
      this.#world.onFinal(submittedMs, vertices, nowMs);
      this.submit(nowMs);
    }
    this.#leave(turn.parcels, turn.encodeUs, nowMs);
    if (own !== null) this.#arrive([own], nowMs);
    for (const { message, proof } of turn.signed) {
      this.#remember(proof.seal);
      const { content, to } = message;
      if ("message" in content && (to === "all" || to.includes(this.index)))
        this.#hear({ message: content.message, proof }, nowMs);
    }
    this.#closeSoon(nowMs);
  }

  #leave(parcels: ReadonlyMap<ValidatorIndex, OrderedParcel<M>>, encodeUs: number, nowMs: number): void {
    const { costs } = this.#world.options;
    let us = encodeUs;
    for (const { bytes, messages } of parcels.values()) {
      us += wireUs(bytes, costs);
      this.#world.onSent(messages.length, bytes);
    }
    const doneMs = this.machine.loop(nowMs, us);
    for (const [to, parcel] of parcels) {
      const sentMs = this.machine.send(doneMs, parcel.bytes);
      this.#world.carry(parcel, to, sentMs + costs.linkLatencyUs / 1_000);
    }
  }

  /** What clients gave since the turn before, as one bundle. */
  #form(nowMs: number): HeldBundle | null {
    const taken: Request[] = [];
    let count = 0;
    while (true) {
      const [next] = this.#queue;
      if (next === undefined || (count > 0 && count + next.vertices > BUNDLE_VERTICES_MAX)) break;
      taken.push(next);
      count += next.vertices;
      this.#queue.shift();
    }
    if (count === 0) return null;
    const { context, options, payload } = this.#world;
    const held = holdBundle(context, {
      creator: this.index,
      term: context.set.termOf(this.index),
      purpose: "application",
      firstNonce: (this.#tip.nonce + 1) as Nonce,
      timestampMs: Math.floor(nowMs),
      parents: [this.#tip.tip],
      payloads: Array.from({ length: count }, () => payload),
    });
    this.#tip = { nonce: (this.#tip.nonce + count) as Nonce, tip: held.ref.tip };
    this.#own.set(held.ref.digest, taken);
    const { length } = encode(bundleCodec, held.bundle);
    this.#world.register(held, length);
    this.machine.loop(nowMs, bundleUs(count, length, options.costs));
    this.#said.push({ content: { held }, bytes: length, to: "all" });
    return held;
  }
}
