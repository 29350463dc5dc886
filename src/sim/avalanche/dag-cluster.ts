import { AvalancheCore } from "../../consensus/avalanche/core.ts";
import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { AvalancheParams } from "../../consensus/avalanche/params.ts";
import type { DagClaim } from "../../consensus/dag-engine.ts";
import type { Effect } from "../../consensus/engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { conflictSetOf, forkSetOf, openEnvelope } from "../../dag/conflict-keys.ts";
import type { Heard } from "../../dag/docket.ts";
import { judge } from "../../dag/resolution.ts";
import { NO_RESOLUTIONS, type ResolutionState } from "../../dag/resolution-state.ts";
import type { Unit } from "../../dag/unit.ts";
import type { Member } from "../../dag/unit-proof.ts";
import { present } from "../../lib/assert.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Proof, Signed } from "../../membership/seal.ts";
import type { NetworkContext } from "../../membership/validator-set.ts";
import { Random } from "../random.ts";
import { Schedule } from "../schedule.ts";
import { DagMember } from "./dag-member.ts";

/** How long a message is under way, in virtual milliseconds; and how many of a thousand are lost for good. */
export interface DagWeather {
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  readonly lossPermille: number;
}

/** What a Byzantine validator does instead of what its engine wants. It has all keys of its own and sees everything. */
export interface DagLiar {
  /** Replaces one effect of its engine. */
  alter(effect: Effect<AvalancheMessage>, cluster: DagCluster, self: ValidatorIndex): readonly LiarEffect[];
}

export type LiarEffect = Effect<AvalancheMessage>;

export interface DagClusterOptions {
  readonly network: NetworkContext;
  readonly params: AvalancheParams;
  readonly seed: number;
  readonly weather: DagWeather;
  readonly liars?: ReadonlyMap<ValidatorIndex, DagLiar>;
  /** How long the ordered log takes for a report, in virtual milliseconds; null: there is no log. */
  readonly logMs: number | null;
  /** Whether a message passes now; a partition says no. Default: all do. */
  readonly passes?: (from: ValidatorIndex, to: ValidatorIndex, nowMs: number) => boolean;
}

/**
 * The pure engines of one network in virtual time, without nodes around them: signatures are taken as good, the log is a
 * list. For campaigns of many seeds, and for many validators at a time.
 */
export class DagCluster {
  readonly schedule: Schedule = new Schedule();
  readonly members: readonly DagMember[];
  readonly network: NetworkContext;
  readonly #options: DagClusterOptions;
  readonly #random: Random;
  #resolutions: ResolutionState = NO_RESOLUTIONS;
  messages = 0;

  constructor(options: DagClusterOptions) {
    this.#options = options;
    this.network = options.network;
    this.#random = Random.of(options.seed, 0xda6);
    this.members = options.network.set.indices().map((index) => {
      const random = Random.of(options.seed, 0x5a3, index);
      const core = new AvalancheCore({
        network: options.network,
        self: index,
        params: options.params,
        random,
        restored: {
          lanes: options.network.set.roster.map(() => ({ nonce: 0 as Nonce, tip: options.network.genesis })),
          open: [],
        },
        previous: null,
        remembersPrevious: false,
        rows: [],
      });
      return new DagMember(options.network, index, core, options.liars?.has(index) !== true);
    });
    for (const member of this.members) this.perform(member, member.core.start(0));
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
    const held = member.form(envelopes, this.schedule.nowMs);
    this.spread(index, held);
    return held;
  }

  /** Hands a bundle to its maker and sends it to all others, or to some of them. */
  spread(from: ValidatorIndex, held: HeldBundle, to: readonly ValidatorIndex[] = this.network.set.indices()): void {
    for (const receiver of to) {
      if (receiver === from) this.arrive(this.member(from), [held]);
      else this.#send(from, receiver, () => this.arrive(this.member(receiver), [held]));
    }
  }

  arrive(member: DagMember, bundles: readonly HeldBundle[]): void {
    for (const held of bundles) member.hold(held);
    const arrivals = bundles.map((held) => ({ held, lost: member.lostOf(held), settled: member.settledOf(held) }));
    this.perform(member, member.core.onEvent({ kind: "dag-bundles", ...this.#now(), bundles: arrivals }));
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

  perform(member: DagMember, effects: readonly Effect<AvalancheMessage>[]): void {
    const liar = this.#options.liars?.get(member.index);
    for (const effect of effects) {
      const wanted = liar === undefined ? [effect] : liar.alter(effect, this, member.index);
      for (const each of wanted) this.#performOne(member, each);
    }
  }

  #performOne(member: DagMember, effect: Effect<AvalancheMessage>): void {
    const { index } = member;
    switch (effect.kind) {
      case "broadcast":
        for (const to of this.network.set.indices()) this.say(index, to, effect.message);
        return;
      case "multicast":
        for (const to of effect.to) this.say(index, to, effect.message);
        return;
      case "send":
        return this.say(index, effect.to, effect.message);
      case "decide":
        return member.decide(effect.decisions, this.schedule.nowMs);
      case "set-timer":
        return member.setTimer(effect.name, () =>
          this.schedule.at(effect.atMs, () =>
            this.perform(member, member.core.onTimer(effect.name, this.schedule.nowMs)),
          ),
        );
      case "cancel-timer":
        return member.cancelTimer(effect.name);
      case "fetch-vertices":
        return this.#fetch(member, effect.from, (peer) => effect.tips.flatMap((tip) => peer.byTip(tip) ?? []));
      case "fetch-bundles":
        return this.#fetch(member, effect.from, (peer) => effect.digests.flatMap((digest) => peer.get(digest) ?? []));
      case "dag-sync":
        return this.#sync(member, this.member(effect.from));
      case "report":
        return this.#report(index, effect);
      default:
        return;
    }
  }

  /** Says one message; the signature is taken as good. */
  say(from: ValidatorIndex, to: ValidatorIndex, message: AvalancheMessage): void {
    const signed: Signed<AvalancheMessage> = { message, proof: proofOf(from) };
    const hear = (): void => {
      const member = this.member(to);
      if (member.core.screen(message).kind === "accept")
        this.perform(member, member.core.onMessage(signed, this.schedule.nowMs));
    };
    this.messages += 1;
    // What a node says to itself is durable when it leaves.
    if (from === to) this.schedule.after(1, hear);
    else this.#send(from, to, hear);
  }

  #send(from: ValidatorIndex, to: ValidatorIndex, deliver: () => void): void {
    const { weather, passes } = this.#options;
    if (passes?.(from, to, this.schedule.nowMs) === false) return;
    if (this.#random.below(1_000) < weather.lossPermille) return;
    const delayMs = weather.delayMinMs + this.#random.fraction() * (weather.delayMaxMs - weather.delayMinMs);
    this.schedule.after(delayMs, deliver);
  }

  #fetch(member: DagMember, from: readonly ValidatorIndex[], find: (peer: DagMember) => readonly HeldBundle[]): void {
    const asked = from[0] ?? this.network.set.indices().find((peer) => peer !== member.index);
    if (asked === undefined) return;
    this.#send(member.index, asked, () => {
      const found = find(this.member(asked));
      if (found.length > 0) this.#send(asked, member.index, () => this.arrive(member, found));
    });
  }

  #sync(member: DagMember, peer: DagMember): void {
    const from = member.core.frontier();
    const failed = this.schedule.after(1_000, () => {
      this.perform(member, member.core.onEvent({ kind: "dag-sync-failed", ...this.#now(), from: peer.index }));
    });
    this.#send(member.index, peer.index, () => {
      const bundles = peer.above(from);
      const claims: DagClaim[] = bundles.map((held) => peer.claimOf(held));
      this.#send(peer.index, member.index, () => {
        failed();
        this.arrive(member, bundles);
        const { epoch } = this.network.set;
        const event = { kind: "dag-claims", ...this.#now(), from: peer.index, epoch, claims, isLast: true } as const;
        this.perform(member, member.core.onEvent(event));
      });
    });
  }

  #report(creator: ValidatorIndex, effect: Extract<Effect<AvalancheMessage>, { readonly kind: "report" }>): void {
    const { logMs } = this.#options;
    if (logMs === null) return;
    const member = this.member(creator);
    const heard: Heard = {
      creator,
      subject: memberOf(member, effect.subject),
      certified: effect.certified === null ? null : memberOf(member, effect.certified.unit),
    };
    this.schedule.after(logMs, () => {
      const { state, decided, reported, lost } = judge(this.#resolutions, this.network.set, [heard]);
      this.#resolutions = state;
      for (const each of this.members) {
        const event = { kind: "resolutions", ...this.#now(), decided, reported, lost } as const;
        this.schedule.after(this.#random.below(20), () => {
          this.perform(each, each.core.onEvent({ ...event, ...this.#now() }));
        });
      }
    });
  }

  #now(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.schedule.nowMs, wallMs: this.schedule.nowMs };
  }
}

function memberOf(member: DagMember, unit: Unit): Member {
  const held = present(member.get(unit.bundle), "a reported bundle");
  const place = forkSetOf(held.ref);
  if (unit.vertex === null) return { unit, sets: [place], place };
  const keys = openEnvelope(present(held.bundle.payloads[unit.vertex], "a reported vertex"))?.conflictKeys ?? [];
  return { unit, sets: keys.map(conflictSetOf), place };
}

const SIGNATURE = { mlDsa: new Uint8Array(0), ed25519: null };

function proofOf(signer: ValidatorIndex): Proof {
  return { seal: { signer, leafCount: 1, signature: SIGNATURE }, leafIndex: 0, path: [] };
}
