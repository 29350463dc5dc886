import type { Effect } from "../../src/consensus/engine.ts";
import type { TimeoutLimits } from "../../src/consensus/adaptive-timeout.ts";
import type { PbftMessage } from "../../src/consensus/pbft/messages.ts";
import { present } from "../../src/lib/assert.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { ValidatorIndex } from "../../src/membership/ids.ts";
import type { NetworkContext } from "../../src/membership/validator-set.ts";
import type { Answer, Question } from "./asking.ts";
import type { Stored } from "./disk.ts";
import { Host, type HostOptions } from "./host.ts";
import { Invariants, Violation } from "./invariants.ts";
import type { Packet } from "./packet.ts";
import type { MembershipState } from "../../src/membership/membership-state.ts";
import { membershipOf } from "./signing.ts";
import { Random } from "../../src/sim/random.ts";
import { Schedule } from "../../src/sim/schedule.ts";
import { TIMEOUTS } from "./timing.ts";

/** How the links of a run behave; times in milliseconds. */
export interface Weather {
  readonly delayMin: number;
  readonly delayMax: number;
  readonly loss: number;
  readonly duplication: number;
}

export const CALM: Weather = { delayMin: 1, delayMax: 10, loss: 0, duplication: 0 };

/** How long a question waits for a peer that does not answer. */
const ASK_TIMEOUT_MS = 400;

/** Steps of all engines in one run; a run that needs more goes round in circles. */
const EVENTS_MAX = 250_000;

/** A connection that lost something breaks, and is back within this time. */
const RECONNECT_MS_MAX = 400;

export interface ClusterOptions {
  readonly network: NetworkContext;
  readonly seed: number;
  hostOptions(cluster: Cluster, self: ValidatorIndex): HostOptions;
}

/**
 * A cluster in virtual time. Everything random comes from one seed; everything that crosses a link crosses it as bytes.
 */
export class Cluster {
  readonly network: NetworkContext;
  readonly membership: MembershipState;
  readonly random: Random;
  readonly schedule: Schedule = new Schedule();
  readonly invariants: Invariants;
  readonly hosts: readonly Host[];
  /** Vertices that correct replicas took in: all of them must be executed everywhere in the end. */
  readonly submitted: Hash[] = [];
  weather: Weather = CALM;
  timeouts: TimeoutLimits = TIMEOUTS;
  /** Steps of all engines. */
  events = 0;
  sent = 0;
  /** Which side of a partition each replica is on. */
  readonly sides: number[];
  /** Answers false for what is to be lost; for tests that choose. */
  passes: (from: ValidatorIndex, to: ValidatorIndex, packet: Packet) => boolean = () => true;
  /** Looks on at every effect before it is performed. */
  onEffect: (host: Host, effect: Effect<PbftMessage>) => void = () => undefined;
  onDelivered: (host: Host, from: ValidatorIndex, packet: Packet) => void = () => undefined;
  readonly #broken = new Set<string>();

  constructor(options: ClusterOptions) {
    this.network = options.network;
    this.membership = membershipOf(options.network);
    this.random = new Random(options.seed);
    this.invariants = new Invariants(options.network);
    this.sides = options.network.set.roster.map(() => 0);
    this.hosts = options.network.set.indices().map((self) => new Host(this, options.hostOptions(this, self)));
  }

  host(index: number): Host {
    return present(this.hosts[index], `replica ${index}`);
  }

  correct(): readonly Host[] {
    return this.hosts.filter((host) => host.isCorrect);
  }

  others(self: ValidatorIndex): readonly ValidatorIndex[] {
    return this.network.set.indices().filter((index) => index !== self);
  }

  start(): void {
    for (const host of this.hosts) host.start();
    this.connectAll();
  }

  restart(host: Host): void {
    if (host.isUp) return;
    host.start();
    for (const peer of this.others(host.self)) this.connect(host.self, peer);
  }

  connectAll(): void {
    for (const host of this.hosts) {
      for (const peer of this.others(host.self)) if (peer > host.self) this.connect(host.self, peer);
    }
  }

  /** Both sides learn that they are connected again. */
  connect(left: ValidatorIndex, right: ValidatorIndex): void {
    this.#broken.delete(pairOf(left, right));
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      this.#carry(from, to, { kind: "connected" });
    }
  }

  send(from: ValidatorIndex, to: ValidatorIndex, packet: Packet): void {
    this.sent += 1;
    const { random, weather } = this;
    if (!this.reaches(from, to)) return;
    if (!this.passes(from, to, packet)) return this.#break(from, to);
    if (weather.loss > 0 && random.chance(weather.loss)) return this.#break(from, to);
    this.#carry(from, to, packet);
    if (weather.duplication > 0 && random.chance(weather.duplication)) this.#carry(from, to, packet);
  }

  /** Asks; null answers where the peer cannot be reached, is down or does not answer in time. */
  ask(host: Host, peer: ValidatorIndex, question: Question, onAnswer: (answer: Answer | null) => void): void {
    const { life, self } = host;
    const reply = (delayMs: number, answer: Answer | null): void => {
      this.schedule.after(delayMs, () => {
        if (host.life === life) onAnswer(answer);
      });
    };
    this.schedule.after(this.#delay(), () => {
      const asked = this.host(peer);
      const lost = this.weather.loss > 0 && this.random.chance(this.weather.loss);
      const answer = lost || !asked.isUp || !this.reaches(self, peer) ? null : asked.answer(question);
      reply(answer === null ? ASK_TIMEOUT_MS : this.#delay(), answer);
    });
  }

  reaches(from: ValidatorIndex, to: ValidatorIndex): boolean {
    return this.sides[from] === this.sides[to];
  }

  partition(sides: readonly number[]): void {
    sides.forEach((side, index) => {
      this.sides[index] = side;
    });
    this.connectAll();
  }

  /** All faults end: everybody up, connected, links calm. */
  heal(): void {
    this.weather = CALM;
    this.passes = () => true;
    this.sides.fill(0);
    for (const host of this.hosts) {
      host.crashIn = null;
      if (!host.isUp) host.start();
    }
    this.connectAll();
  }

  onSubmitted(host: Host, stored: Stored): void {
    if (host.isCorrect) this.submitted.push(...stored.held.vertexIds);
  }

  onCrash(_host: Host): void {
    // What it sent is on its way; what it did not is lost with it.
  }

  observe(host: Host, effect: Effect<PbftMessage>): void {
    this.onEffect(host, effect);
    if (!host.isCorrect) return;
    if (effect.kind === "broadcast" || effect.kind === "send") this.invariants.onSaid(host.self, effect.message);
    if (effect.kind === "checkpoint") this.invariants.onCheckpoint(host.self, effect.certificate);
  }

  /** Whether every vertex of correct replicas is executed at every correct replica. */
  isDone(): boolean {
    return this.correct().every((host) => {
      return this.submitted.every((vertex) => this.invariants.hasExecuted(host.self, vertex));
    });
  }

  run(untilMs: number): void {
    for (let next = this.schedule.nextAtMs(); next !== null && next <= untilMs; next = this.schedule.nextAtMs()) {
      this.#runNext();
    }
    this.schedule.nowMs = Math.max(this.schedule.nowMs, untilMs);
  }

  /** Runs until nothing is left to happen; answers false where that takes longer. */
  runUntilQuiet(untilMs: number): boolean {
    for (let next = this.schedule.nextAtMs(); next !== null; next = this.schedule.nextAtMs()) {
      if (next > untilMs) return false;
      this.#runNext();
    }
    return true;
  }

  #runNext(): void {
    this.schedule.runNext();
    if (this.events > EVENTS_MAX) throw new Violation(`more than ${EVENTS_MAX} steps`);
  }

  #carry(from: ValidatorIndex, to: ValidatorIndex, packet: Packet): void {
    this.schedule.after(this.#delay(), () => {
      if (!this.reaches(from, to)) return;
      const host = this.host(to);
      this.onDelivered(host, from, packet);
      host.receive(from, packet);
    });
  }

  #break(left: ValidatorIndex, right: ValidatorIndex): void {
    const pair = pairOf(left, right);
    if (this.#broken.has(pair)) return;
    this.#broken.add(pair);
    this.schedule.after(this.random.between(10, RECONNECT_MS_MAX), () => this.connect(left, right));
  }

  #delay(): number {
    const { delayMin, delayMax } = this.weather;
    // Mostly short, sometimes long: what reorders is the tail.
    return this.random.chance(0.8)
      ? delayMin + this.random.below(1 + (delayMax - delayMin) / 4)
      : this.random.between(delayMin, delayMax);
  }
}

function pairOf(left: ValidatorIndex, right: ValidatorIndex): string {
  return left < right ? `${left}/${right}` : `${right}/${left}`;
}
