import { arrival, NETWORK } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { AvalancheEngine } from "../../src/consensus/avalanche/engine.ts";
import { type AvalancheMessage, encodeMessage, isAvalancheMessage } from "../../src/consensus/avalanche/messages.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { DagClaim, DagOpen } from "../../src/consensus/dag-engine.ts";
import type { Effect, Engine, EngineEvent, Verified } from "../../src/consensus/engine.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import type { Signed } from "../../src/membership/seal.ts";
import { Random } from "../../src/sim/random.ts";
import { Schedule } from "../../src/sim/schedule.ts";
import { Solo } from "../cluster/solo.ts";
import { claimsHeard, signedBy } from "../fuzz/dag-fixture.ts";

export type Message = PbftMessage | AvalancheMessage;
export type Event = EngineEvent<Message>;

const DELAY_MS = 5;

/** One engine, everything that happened to it, and what it wanted in each step. */
export class Seat {
  readonly self: ValidatorIndex | null;
  readonly events: Event[] = [];
  readonly steps: (readonly Effect<Message>[])[] = [];
  readonly rows: Map<string, Uint8Array> = new Map();
  readonly held: Map<Hash, HeldBundle> = new Map();
  readonly settled: Set<Hash> = new Set();
  isDown = false;
  life = 0;
  engine: Engine<Message>;

  constructor(self: ValidatorIndex | null) {
    this.self = self;
    this.engine = engineOf(self);
  }

  step(event: Event): readonly Effect<Message>[] {
    const effects = this.engine.step(event);
    this.events.push(event);
    this.steps.push(effects);
    return effects;
  }

  get effects(): readonly Effect<Message>[] {
    return this.steps.flat();
  }

  /** What a process finds that begins again; only for networks in which nothing was decided in part. */
  restored(): readonly DagOpen[] {
    const open = [...this.held.values()].filter(({ ref }) => !this.settled.has(ref.digest));
    open.sort((left, right) => left.ref.firstNonce - right.ref.firstNonce);
    return open.map((held) => ({ held, place: "open", accepted: [], rejected: [], certified: [] }));
  }
}

/** The engine under test, beside a PBFT engine that has nothing to order. The seed is part of what makes it repeatable. */
export function engineOf(
  self: ValidatorIndex | null,
  restored: readonly DagOpen[] = [],
  rows: ReadonlyMap<string, Uint8Array> = new Map(),
  life = 0,
): Engine<Message> {
  return new AvalancheEngine<PbftMessage>({
    order: new Solo({ self }).engine,
    network: NETWORK,
    self,
    params: deriveParams(NETWORK.set.size, { beta: 3 }),
    random: Random.of(5, self ?? 99, life),
    restored: { lanes: NETWORK.set.roster.map(() => ({ nonce: 0 as Nonce, tip: NETWORK.genesis })), open: restored },
    previous: null,
    remembersPrevious: false,
    rows: [...rows].map(([key, value]) => ({ key, value })),
  });
}

/** Four engines and an observer on even links, without a log: what one wants, the others get after five milliseconds. */
export class Bench {
  readonly seats: readonly Seat[];
  readonly observer: Seat = new Seat(null);
  readonly schedule: Schedule = new Schedule();
  readonly #timers = new Map<string, () => void>();
  /** Stops the first seat before it performs this effect, counted over its life; null for never. */
  crashAt: number | null = null;
  #performed = 0;
  /** Whether words of one to another pass. */
  passes: (from: ValidatorIndex, to: Seat) => boolean = () => true;

  constructor() {
    this.seats = NETWORK.set.indices().map((index) => new Seat(index));
  }

  get all(): readonly Seat[] {
    return [...this.seats, this.observer];
  }

  seat(index: number): Seat {
    const seat = this.seats[index];
    if (seat === undefined) throw new Error(`no seat ${index}`);
    return seat;
  }

  start(): void {
    for (const seat of this.all) this.step(seat, { kind: "start", nowMs: this.schedule.nowMs });
  }

  step(seat: Seat, event: Event): void {
    if (seat.isDown) return;
    for (const effect of seat.step(event)) {
      if (seat === this.seats[0] && this.#performed++ === this.crashAt) {
        seat.isDown = true;
        return;
      }
      this.#perform(seat, effect);
    }
  }

  bundles(seat: Seat, ...bundles: readonly HeldBundle[]): void {
    if (seat.isDown) return;
    for (const held of bundles) seat.held.set(held.ref.digest, held);
    this.step(seat, { kind: "dag-bundles", ...this.now(), bundles: bundles.map((held) => arrival(held)) });
  }

  spread(...bundles: readonly HeldBundle[]): void {
    for (const seat of this.all) this.bundles(seat, ...bundles);
  }

  run(untilMs: number): void {
    for (let next = this.schedule.nextAtMs(); next !== null && next <= untilMs; next = this.schedule.nextAtMs())
      this.schedule.runNext();
  }

  restart(seat: Seat): void {
    seat.life += 1;
    seat.isDown = false;
    seat.engine = engineOf(seat.self, seat.restored(), seat.rows, seat.life);
    this.step(seat, { kind: "start", nowMs: this.schedule.nowMs });
  }

  now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.schedule.nowMs, wallMs: 0 };
  }

  #perform(seat: Seat, effect: Effect<Message>): void {
    const { self } = seat;
    switch (effect.kind) {
      case "persist":
        for (const { key, value } of effect.writes) {
          if (value === null) seat.rows.delete(key);
          else seat.rows.set(key, value);
        }
        return;
      case "broadcast":
        for (const to of self === null ? [] : this.all) this.#say(self ?? (0 as ValidatorIndex), to, effect.message);
        return;
      case "multicast":
        for (const to of self === null ? [] : effect.to)
          this.#say(self ?? (0 as ValidatorIndex), this.seat(to), effect.message);
        return;
      case "send":
        return self === null ? undefined : this.#say(self, this.seat(effect.to), effect.message);
      case "set-timer":
        return this.#setTimer(seat, effect.name, effect.atMs);
      case "cancel-timer":
        this.#timers.get(`${self}/${effect.name}`)?.();
        return;
      case "dag-sync":
        return this.#sync(seat, this.seat(effect.from));
      case "decide":
        for (const { bundle, isSettled } of effect.decisions) if (isSettled) seat.settled.add(bundle);
        return;
      default:
        return;
    }
  }

  #say(from: ValidatorIndex, to: Seat, message: Message): void {
    if (!isAvalancheMessage(message) || !this.passes(from, to)) return;
    const { life } = to;
    this.schedule.after(from === to.self ? 1 : DELAY_MS, () => {
      if (to.isDown || (from === to.self && to.life !== life)) return;
      if (to.engine.screen(from, message).kind !== "accept") return;
      const signed = signedBy(from, message) as Verified<Signed<Message>>;
      this.step(to, { kind: "message", ...this.now(), signed });
    });
  }

  #setTimer(seat: Seat, name: "progress" | "new-view" | "resend" | "poll" | "patience", atMs: number): void {
    const key = `${seat.self}/${name}`;
    this.#timers.get(key)?.();
    const { life } = seat;
    const cancel = this.schedule.at(atMs, () => {
      if (seat.life === life) this.step(seat, { kind: "timer", ...this.now(), name });
    });
    this.#timers.set(key, cancel);
  }

  #sync(seat: Seat, peer: Seat): void {
    const { life } = seat;
    this.schedule.after(2 * DELAY_MS, () => {
      if (seat.life !== life || seat.isDown || peer.isDown || peer.self === null) return;
      const bundles = [...peer.held.values()];
      const claims = bundles.flatMap(({ ref }): DagClaim[] => {
        const claim = peer.engine.dag?.claimOf(ref.digest) ?? null;
        return claim === null ? [] : [claim];
      });
      this.bundles(seat, ...bundles);
      const { epoch } = NETWORK.set;
      this.step(seat, claimsHeard(peer.self, { nowMs: this.schedule.nowMs, epoch, claims, isLast: true }));
    });
  }
}

/** Effects as text of bytes: equal for equal effects, and for no others. */
export function bytesOf(effects: readonly Effect<Message>[]): string {
  return JSON.stringify(effects, (_, value: unknown) => {
    if (value instanceof Uint8Array) return value.toHex();
    return isObject(value) && isAvalancheMessage(value) ? encodeMessage(value).toHex() : value;
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
