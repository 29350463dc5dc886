import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { DagClaim, DagRestored } from "../../consensus/dag-engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { present } from "../../lib/assert.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { Random } from "../random.ts";
import { Schedule } from "../schedule.ts";
import { makeMember } from "./dag-begin.ts";
import type { DagClusterOptions, DagWatch, LiarEffect } from "./dag-cluster-options.ts";
import { DagLog, heardOf } from "./dag-log.ts";
import { DagMember } from "./dag-member.ts";
import { nextNetwork, simProof } from "./dag-network.ts";
import { DagViolation } from "./dag-violation.ts";

/**
 * The pure engines of one network in virtual time, without nodes around them: signatures are taken as good, the log is a
 * list. For campaigns of many seeds, and for many validators at a time.
 */
export class DagCluster {
  readonly schedule: Schedule = new Schedule();
  readonly members: readonly DagMember[];
  readonly log: DagLog;
  readonly options: DagClusterOptions;
  readonly #random: Random;
  #watch: DagWatch | null = null;
  messages = 0;

  constructor(options: DagClusterOptions) {
    this.options = options;
    this.#random = Random.of(options.seed, 0xda6);
    this.log = new DagLog(options.network);
    const count = options.network.set.roster.length + (options.newcomers ?? 0);
    this.members = Array.from({ length: count }, (_, place) => {
      const index = place as ValidatorIndex;
      const engine = makeMember(this.options, index, options.network, {
        restored: { lanes: this.#emptyLanes(options.network), open: [] },
        previous: null,
        remembersPrevious: false,
        rows: [],
        life: 0,
      });
      return new DagMember(index, engine, options.liars?.has(index) !== true);
    });
  }

  /** Everybody begins. */
  start(watch: DagWatch | null = null): void {
    this.#watch = watch;
    for (const member of this.members) this.#begin(member, false);
  }

  get nowMs(): number {
    return this.schedule.nowMs;
  }

  /** The newest epoch's network; a member may still be in an older one. */
  get network(): NetworkContext {
    return this.log.network;
  }

  get correct(): readonly DagMember[] {
    return this.members.filter(({ isCorrect }) => isCorrect);
  }

  member(index: ValidatorIndex): DagMember {
    return present(this.members[index], `member ${index}`);
  }

  /** A bundle of a member's clients, made and sent now. */
  submit(index: ValidatorIndex, envelopes: readonly Uint8Array[]): HeldBundle {
    const member = this.member(index);
    member.mendTip();
    const held = member.form(envelopes, this.nowMs);
    this.spread(index, held);
    return held;
  }

  /** Hands a bundle to its maker and sends it to all others, or to some of them. */
  spread(
    from: ValidatorIndex,
    held: HeldBundle,
    to: readonly ValidatorIndex[] = this.members.map(({ index }) => index),
  ): void {
    for (const receiver of to) {
      if (receiver === from) this.arrive(this.member(from), [held]);
      else this.#send(from, receiver, () => this.arrive(this.member(receiver), [held]));
    }
  }

  arrive(member: DagMember, bundles: readonly HeldBundle[]): void {
    if (member.isDown) return;
    // A creator that is not in this member's roster yet is unknown to it.
    const known = bundles.filter(({ ref }) => member.network.set.knows(ref.creator));
    if (known.length === 0) return;
    for (const held of known) if (member.hold(held) && member.isCorrect) this.#watch?.onBundle(member, held);
    const arrivals = known.map((held) => ({ held, lost: member.lostOf(held), settled: member.settledOf(held) }));
    this.#step(member, () => member.core.onEvent({ kind: "dag-bundles", ...this.#now(), bundles: arrivals }));
  }

  /** Runs until nothing is due before `untilMs`, or the condition holds; answers whether it does. */
  run(untilMs: number, isDone: () => boolean = () => false): boolean {
    for (;;) {
      if (isDone()) return true;
      const next = this.schedule.nextAtMs();
      if (next === null || next > untilMs) return isDone();
      this.schedule.runNext();
    }
  }

  /** Loses a member's memory now, or in the middle of its next step that wants so many effects. */
  crash(index: ValidatorIndex, effectsLeft: number | null = null): void {
    const member = this.member(index);
    if (effectsLeft !== null) {
      member.effectsLeft = effectsLeft;
      return;
    }
    member.isDown = true;
    member.life += 1;
    member.effectsLeft = null;
  }

  /** Comes back with its bundles, what became of them, and its rows. */
  restart(index: ValidatorIndex): void {
    const member = this.member(index);
    if (!member.isDown) this.crash(index);
    member.isDown = false;
    const rows = [...member.disk].map(([key, value]) => ({ key, value }));
    member.begin(
      makeMember(this.options, index, member.network, {
        restored: member.restored(),
        previous: member.previous,
        earlier: member.earlier,
        remembersPrevious: false,
        rows,
        life: member.life,
      }),
    );
    this.#begin(member, true);
    this.#hearLog(member);
  }

  /** The log ends the epoch; each member hears of it in its turn. */
  endEpoch(gone: ValidatorIndex | null): void {
    this.log.endEpoch(nextNetwork(this.log.network, gone));
    this.#tellLog();
  }

  perform(member: DagMember, effects: readonly LiarEffect[]): void {
    const liar = this.options.liars?.get(member.index);
    const alter = member.isCorrect ? this.options.plant?.alter : undefined;
    if (member.isCorrect) this.#watch?.onStep(member, effects);
    const left = member.effectsLeft;
    for (const [at, effect] of effects.entries()) {
      // What one step writes is one batch: it is on the disk as a whole, or nothing of it leaves.
      const isWritten = effect.kind === "persist" || effect.kind === "decide";
      if (left !== null && at >= left && !isWritten) continue;
      const wanted = liar === undefined ? (alter?.(effect) ?? [effect]) : liar.alter(effect, member.index);
      for (const each of wanted) this.performOne(member, each);
    }
    if (left !== null && effects.length > 0) this.crash(member.index);
  }

  /** Connections between these members and all others are there again. */
  reconnect(members: readonly ValidatorIndex[]): void {
    for (const member of this.members) {
      for (const peer of this.members) {
        if (member === peer || !(members.includes(member.index) || members.includes(peer.index))) continue;
        this.#step(member, () => member.core.onPeerConnected(peer.index, this.nowMs));
      }
    }
  }

  performOne(member: DagMember, effect: LiarEffect): void {
    const { index } = member;
    switch (effect.kind) {
      case "persist":
        return member.write(effect.writes);
      case "broadcast":
        for (const to of member.network.set.indices()) this.say(index, to, effect.message);
        this.#said(member, effect.message);
        return;
      case "multicast":
        for (const to of effect.to) this.say(index, to, effect.message);
        this.#said(member, effect.message);
        return;
      case "send":
        this.say(index, effect.to, effect.message);
        this.#said(member, effect.message);
        return;
      case "decide":
        if (member.isCorrect) this.#watch?.onDecided(member, effect);
        return member.decide(effect.decisions, this.nowMs);
      case "set-timer":
        return member.setTimer(effect.name, () =>
          this.schedule.at(effect.atMs, () => this.#step(member, () => member.core.onTimer(effect.name, this.nowMs))),
        );
      case "cancel-timer":
        return member.cancelTimer(effect.name);
      case "fetch-vertices":
        return this.#fetch(member, effect.from, (peer) => effect.tips.flatMap((tip) => peer.byTip(tip) ?? []));
      case "fetch-bundles":
        return this.#fetch(member, effect.from, (peer) => effect.digests.flatMap((digest) => peer.get(digest) ?? []));
      case "dag-sync":
        return this.#sync(member, this.member(effect.from), effect.isForEpoch);
      case "report":
        if (member.isCorrect) this.#watch?.onReport(member, effect);
        return this.#report(member, effect);
      default:
        return;
    }
  }

  /** Says one message; the signature is taken as good, in its sender's epoch. */
  say(from: ValidatorIndex, to: ValidatorIndex, message: AvalancheMessage): void {
    const signed: Signed<AvalancheMessage> = { message, proof: simProof(from) };
    const { epoch } = this.member(from).network.set;
    const { life } = this.member(to);
    const hear = (): void => {
      const member = this.member(to);
      const isHeard = !member.isDown && (from !== to || member.life === life) && member.network.set.epoch === epoch;
      if (!isHeard || !member.network.set.has(from)) return;
      if (this.options.liars?.get(to)?.hear?.({ from, message }, to) === true) return;
      if (member.core.screen(message).kind !== "accept") return;
      if (member.isCorrect) this.#watch?.onHeard(member, signed);
      this.#step(member, () => member.core.onMessage(signed, this.nowMs));
    };
    this.messages += 1;
    // What a node says to itself is durable when it leaves.
    if (from === to) this.schedule.after(1, hear);
    else this.#send(from, to, hear);
  }

  /** One step of a member's engine. */
  #step(member: DagMember, step: () => readonly LiarEffect[]): void {
    if (member.isDown) return;
    try {
      this.perform(member, step());
    } catch (error) {
      // A liar that talked its own engine into the ground is silent from now on.
      if (!member.isCorrect) return this.crash(member.index);
      if (error instanceof DagViolation) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new DagViolation("no-failure", `member ${member.index} stopped: ${why}`);
    }
  }

  #said(member: DagMember, message: AvalancheMessage): void {
    if (member.isCorrect) this.#watch?.onSaid(member, message);
  }

  #begin(member: DagMember, isRestart: boolean): void {
    if (member.isCorrect) this.#watch?.onBegin(member, isRestart);
    this.#step(member, () => member.core.start(this.nowMs));
    const heard = this.log.rememberedBy(member.heardOfLog);
    if (heard !== null) this.#step(member, () => member.core.onEvent({ ...heard, ...this.#now() }));
  }

  #emptyLanes(network: NetworkContext): DagRestored["lanes"] {
    return network.set.roster.map(() => ({ nonce: 0 as Nonce, tip: network.genesis }));
  }

  #send(from: ValidatorIndex, to: ValidatorIndex, deliver: () => void): void {
    const { weather, passes } = this.options;
    if (passes?.(from, to, this.nowMs) === false) return;
    if (this.#random.below(1_000) < weather.lossPermille) return;
    const delayMs = weather.delayMinMs + this.#random.fraction() * (weather.delayMaxMs - weather.delayMinMs);
    const { life } = this.member(to);
    this.schedule.after(delayMs, () => {
      if (this.member(to).life === life) deliver();
    });
  }

  /** Asks one after the other, those that are named first, until somebody has it: as the node's fetcher does. */
  #fetch(member: DagMember, from: readonly ValidatorIndex[], find: (peer: DagMember) => readonly HeldBundle[]): void {
    const own = find(member);
    if (own.length > 0) this.schedule.after(1, () => this.arrive(member, own));
    const others = member.network.set.indices().filter((peer) => peer !== member.index && !from.includes(peer));
    const asked = [...from.filter((peer) => peer !== member.index), ...this.#random.shuffled(others)].slice(
      0,
      FETCHED_FROM_MAX,
    );
    let isFound = false;
    asked.forEach((peer, at) => {
      this.schedule.after(at * 2 * this.options.weather.delayMaxMs, () => {
        if (isFound || member.isDown) return;
        this.#send(member.index, peer, () => {
          if (this.member(peer).isDown) return;
          const liar = this.options.liars?.get(peer);
          const found = find(this.member(peer)).filter((held) => liar?.serves?.(held, member.index) !== false);
          if (found.length === 0) return;
          this.#send(peer, member.index, () => {
            isFound = true;
            this.arrive(member, found);
          });
        });
      });
    });
  }

  #sync(member: DagMember, peer: DagMember, isForEpoch: boolean): void {
    const { core } = member;
    const from = core.frontier();
    const failed = this.schedule.after(SYNC_TIMEOUT_MS, () => {
      if (core !== member.core) return;
      this.#step(member, () => core.onEvent({ kind: "dag-sync-failed", ...this.#now(), from: peer.index }));
    });
    this.#send(member.index, peer.index, () => {
      if (peer.isDown) return;
      const liar = this.options.liars?.get(peer.index);
      const bundles = peer.above(from).filter((held) => liar?.serves?.(held, member.index) !== false);
      const honest: readonly DagClaim[] = bundles.map((held) => peer.claimOf(held, isForEpoch));
      const passed = peer.core.passed();
      const claims = liar?.claims?.(honest, member.index) ?? honest;
      const { epoch } = peer.network.set;
      this.#send(peer.index, member.index, () => {
        if (core !== member.core) return;
        failed();
        this.arrive(member, bundles);
        if (member.isCorrect) this.#watch?.onClaims(member, peer.index, epoch, claims);
        const event = { kind: "dag-claims", from: peer.index, epoch, passed, claims, isLast: true } as const;
        this.#step(member, () => core.onEvent({ ...event, ...this.#now() }));
      });
    });
  }

  #report(member: DagMember, effect: Extract<LiarEffect, { readonly kind: "report" }>): void {
    const { logMs, logFrom } = this.options;
    if (logMs === null) return;
    const entry = this.log.openReport(member, effect);
    const { epoch } = member.network.set;
    const fromMs = logFrom?.(member.index, this.nowMs) ?? this.nowMs;
    this.schedule.at(fromMs + logMs, () => {
      if (this.log.append(epoch, entry)) this.#tellLog();
    });
  }

  /** Every member hears the log in its order, each at its own pace. */
  #tellLog(): void {
    for (const member of this.members) {
      const fromMs = this.options.logFrom?.(member.index, this.nowMs) ?? this.nowMs;
      this.schedule.at(fromMs + this.#random.below(LOG_LAG_MS), () => this.#hearLog(member));
    }
  }

  #hearLog(member: DagMember): void {
    for (;;) {
      if (member.isDown) return;
      const entry = this.log.entries[member.heardOfLog];
      if (entry === undefined) return;
      member.heardOfLog += 1;
      if (entry.kind === "epoch") this.#enter(member, entry.network);
      else {
        const heard = heardOf(entry.judgement);
        if (member.isCorrect) this.#watch?.onResolved(member, heard);
        this.#step(member, () => member.core.onEvent({ ...heard, ...this.#now() }));
      }
    }
  }

  /** The next epoch's engine, as the node makes it. */
  #enter(member: DagMember, network: NetworkContext): void {
    const before = member.network.set;
    const left = member.core.handOver();
    const handed = member.isCorrect ? (this.options.plant?.handOver?.(left) ?? left) : left;
    const lanes = network.set.roster.map(
      (_, place) => handed.lanes[place] ?? { nonce: 0 as Nonce, tip: network.genesis },
    );
    if (member.previous !== null) member.earlier = [member.previous, ...member.earlier];
    member.previous = before;
    // What waits for a parent is not handed over: it is fetched again with it.
    member.dropOrphans();
    member.disk.clear();
    member.begin(
      makeMember(this.options, member.index, network, {
        restored: { ...handed, lanes },
        previous: before,
        earlier: member.earlier,
        remembersPrevious: before.has(member.index),
        rows: [],
        life: member.life,
      }),
    );
    this.#begin(member, false);
  }

  #now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.nowMs, wallMs: this.nowMs };
  }
}

/** How many validators are asked for a missing body, one after the other. */
const FETCHED_FROM_MAX = 4;

const SYNC_TIMEOUT_MS = 1_000;

/** How far members are behind the log, at most, in virtual milliseconds. */
const LOG_LAG_MS = 20;
