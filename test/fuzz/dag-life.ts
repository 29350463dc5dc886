import { vertex } from "../../src/consensus/avalanche/avalanche.cases.ts";
import { OPEN_OF_CREATOR_MAX, ORPHANS_MAX, SETTLED_MAX } from "../../src/consensus/avalanche/limits.ts";
import type { AvalancheMessage, Dissent } from "../../src/consensus/avalanche/messages.ts";
import { deriveParams } from "../../src/consensus/avalanche/params.ts";
import type { DagClaim } from "../../src/consensus/dag-engine.ts";
import type { HeldBundle } from "../../src/dag/bundle.ts";
import { RESOLUTION_BOUNDS } from "../../src/dag/resolution-state.ts";
import type { VoteEntry } from "../../src/dag/votes.ts";
import { type Hash, toHash } from "../../src/lib/hash.ts";
import type { Epoch, Nonce, ValidatorIndex } from "../../src/membership/ids.ts";
import { DagCluster } from "../../src/sim/avalanche/dag-cluster.ts";
import type { DagWatch, LiarEffect } from "../../src/sim/avalanche/dag-cluster-options.ts";
import type { DagMember } from "../../src/sim/avalanche/dag-member.ts";
import { networkOf } from "../cluster/signing.ts";
import { claimsHeard, LIAR, signedBy } from "./dag-fixture.ts";
import { Random } from "./random.ts";
import { promise } from "./target.ts";

const KEYS: readonly string[] = Array.from({ length: 12 }, (_, place) => `coin-${place}`);
const OBSERVER = 4 as ValidatorIndex;
const RECORDED_MAX = 400;

/** A step of the adversary, or of the world. */
type Operation = (life: DagLife) => void;

/**
 * Three correct engines, an observer, and a fourth validator that says whatever is well formed: at random, about what is
 * known and what is not, to some and not to others. The world loses, repeats and delays; timers fire late and out of turn;
 * processes die. Whatever throws is a finding: correct peers, or the one liar, could make a node stop.
 */
export class DagLife {
  readonly cluster: DagCluster;
  readonly random: Random;
  operations = 0;
  readonly #bundles: HeldBundle[] = [];
  readonly #said: { readonly from: ValidatorIndex; readonly message: AvalancheMessage }[] = [];
  #isApart = false;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.cluster = new DagCluster({
      network: networkOf(4),
      params: deriveParams(4, { beta: 3, concurrentPolls: 1, patienceMs: 400, resolveAfterMs: 900 }),
      seed,
      weather: { delayMinMs: 1, delayMaxMs: 60, lossPermille: 40 },
      liars: new Map([[LIAR, { alter: (effect: LiarEffect) => this.#altered(effect) }]]),
      logMs: 50,
      newcomers: 1,
      passes: (from, to) => !this.#isApart || from % 2 === to % 2,
    });
    this.cluster.start(new Recorder(this));
  }

  /** So many operations; at the end what the correct ones decided is compared. */
  run(operations: number): void {
    for (let count = 0; count < operations; count++) {
      this.operations += 1;
      this.random.pick(OPERATIONS)(this);
      if (this.operations % 500 === 0) this.checkSizes();
    }
    this.checkAgreement();
  }

  /** Everything that an engine keeps has a bound, whatever it was told. */
  checkSizes(): void {
    for (const { inside, index } of this.cluster.members) {
      const { graph, missing, polls, owed, reportedElsewhere, resolvedLater, lostLater } = inside;
      const nodes = 5 * OPEN_OF_CREATOR_MAX + SETTLED_MAX;
      const owedNodes = [...owed.values()].reduce((sum, owedTo) => sum + owedTo.size, 0);
      const sizes: readonly (readonly [string, number, number])[] = [
        ["nodes", graph.nodes.size, nodes],
        ["sets", graph.sets.size, 2 * nodes + KEYS.length],
        ["orphans", graph.orphans.size, ORPHANS_MAX],
        ["missing", missing.size, 4_096],
        ["polls", polls.size, 300],
        ["owed", owedNodes, 5 * 256],
        ["reported elsewhere", reportedElsewhere.size, 4_096],
        ["resolved later", resolvedLater.size, RESOLUTION_BOUNDS.rulings],
        ["lost later", lostLater.size, RESOLUTION_BOUNDS.rulings],
      ];
      for (const [name, size, most] of sizes)
        promise(size <= most, `member ${index} holds ${size} ${name}, at most ${most}; ${this.operations} operations`);
    }
  }

  /** No two correct ones decided against each other; each one's own decisions its member has compared already. */
  checkAgreement(): void {
    const fates = new Map<Hash, string>();
    for (const member of this.cluster.correct) {
      for (const { ref } of member.held) {
        const place = member.placeOf(ref.digest);
        if (place === "open") continue;
        const before = fates.get(ref.digest) ?? place;
        promise(before === place, `bundle ${ref.digest} is ${place} at ${member.index} and ${before} elsewhere`);
        fates.set(ref.digest, place);
      }
    }
  }

  get finals(): number {
    return this.cluster.correct.reduce((sum, { order }) => sum + order.length, 0);
  }

  // What operations are made of.

  anyone(): DagMember {
    return this.cluster.member(this.random.below(4) as ValidatorIndex);
  }

  victim(): DagMember {
    return this.cluster.member(this.random.below(3) as ValidatorIndex);
  }

  some(): readonly ValidatorIndex[] {
    return [0, 1, 2, OBSERVER].filter(() => this.random.chance(0.6)) as ValidatorIndex[];
  }

  unknown(): Hash {
    return toHash(Uint8Array.from({ length: 32 }, () => this.random.below(256)));
  }

  held(): HeldBundle | null {
    return this.#bundles.length === 0 ? null : this.random.pick(this.#bundles);
  }

  digest(): Hash {
    return (this.random.chance(0.1) ? null : this.held()?.ref.digest) ?? this.unknown();
  }

  indices(most: number): readonly number[] {
    const drawn = Array.from({ length: this.random.below(most) }, () => this.random.below(6));
    return [...new Set(drawn)].sort((left, right) => left - right);
  }

  envelopes(): readonly Uint8Array[] {
    return Array.from({ length: 1 + this.random.below(4) }, () => {
      const keys = Array.from({ length: this.random.below(3) }, () => this.random.pick(KEYS));
      return vertex(String(this.random.next()), ...keys);
    });
  }

  /** From one member as if it had signed it, past the network's own losses. */
  say(from: ValidatorIndex, to: ValidatorIndex, message: AvalancheMessage): void {
    const member = this.cluster.member(to);
    if (member.isDown || !member.network.set.has(from) || member.core.screen(message).kind !== "accept") return;
    this.step(member, () => member.core.onMessage(signedBy(from, message), this.cluster.nowMs));
  }

  step(member: DagMember, step: () => readonly LiarEffect[]): void {
    if (!member.isDown && member.isCorrect) this.cluster.perform(member, step());
  }

  replay(): void {
    if (this.#said.length === 0) return;
    const { from, message } = this.random.pick(this.#said);
    for (const to of this.some()) if (to !== from) this.say(from, to, message);
  }

  remember(held: HeldBundle): void {
    this.#bundles.push(held);
    if (this.#bundles.length > RECORDED_MAX) this.#bundles.shift();
  }

  record(from: ValidatorIndex, message: AvalancheMessage): void {
    this.#said.push({ from, message });
    if (this.#said.length > RECORDED_MAX) this.#said.shift();
  }

  part(isApart: boolean): void {
    this.#isApart = isApart;
  }

  forgetSaid(): void {
    this.#said.length = 0;
  }

  #altered(effect: LiarEffect): readonly LiarEffect[] {
    // A disk that loses some writes and keeps others stops any engine: its rows name each other.
    const isKept = effect.kind === "fetch-bundles" || effect.kind === "persist";
    return isKept || this.random.chance(0.5) ? [effect] : [];
  }
}

/** Notes what correct members hold and say, for who wants to repeat or abuse it. */
class Recorder implements DagWatch {
  readonly #life: DagLife;

  constructor(life: DagLife) {
    this.#life = life;
  }

  onBundle(_: DagMember, held: HeldBundle): void {
    this.#life.remember(held);
  }

  onSaid({ index }: DagMember, message: AvalancheMessage): void {
    this.#life.record(index, message);
  }

  onHeard(): void {}
  onClaims(): void {}
  onReport(): void {}
  onDecided(): void {}
  onResolved(): void {}
  onBegin(): void {}
  onStep(): void {}
}

function submit(life: DagLife): void {
  const member = life.victim();
  if (!member.isDown) life.cluster.submit(member.index, life.envelopes());
}

/** A bundle of the liar at any place of its lane, with any parents, for some. */
function forge(life: DagLife): void {
  const { cluster, random } = life;
  const liar = cluster.member(LIAR);
  const own = [...liar.held].filter(({ ref }) => ref.creator === LIAR).slice(-20);
  const before = own.length === 0 || random.chance(0.05) ? null : random.pick(own).ref;
  const nonce = before === null ? 0 : before.firstNonce + before.count - 1;
  const parent = random.chance(0.05) ? life.unknown() : (before?.tip ?? cluster.network.genesis);
  const second = random.chance(0.5) ? cluster.network.genesis : (life.held()?.ref.tip ?? life.unknown());
  const tip = { nonce: (nonce + (random.chance(0.2) ? random.below(5) : 0)) as Nonce, tip: parent };
  const held = liar.formAfter(tip, life.envelopes(), { nowMs: cluster.nowMs, second });
  liar.hold(held);
  life.remember(held);
  for (const to of life.some()) {
    const member = cluster.member(to);
    if (!member.isDown) cluster.arrive(member, [held]);
  }
}

function vote(life: DagLife): void {
  const entries = Array.from({ length: 1 + life.random.below(6) }, (): VoteEntry => {
    const level = life.random.chance(0.5) ? "accept" : "commit";
    return { level, bundle: life.digest(), except: life.indices(4) };
  });
  for (const to of life.some()) life.say(LIAR, to, { kind: "votes", entries });
}

function query(life: DagLife): void {
  const lanes = Array.from({ length: life.random.below(5) }, () => {
    return Array.from({ length: 1 + life.random.below(16) }, () => life.digest());
  });
  for (const to of life.some()) life.say(LIAR, to, { kind: "query", poll: life.random.below(1_000), lanes });
}

function answer(life: DagLife): void {
  const member = life.victim();
  const polls = [...member.inside.polls.values()];
  if (polls.length === 0) return;
  const poll = life.random.pick(polls);
  const dissents = Array.from({ length: life.random.below(6) }, (): Dissent => {
    return { bundle: life.digest(), vertices: life.indices(4) };
  });
  const heads = poll.chains.map(() => life.random.below(life.random.chance(0.1) ? 256 : 4));
  life.say(LIAR, member.index, { kind: "answer", to: member.index, poll: poll.id, heads, dissents });
}

function claim(life: DagLife): void {
  const { random, cluster } = life;
  const member = random.chance(0.2) ? cluster.member(OBSERVER) : life.victim();
  const claims = Array.from({ length: random.below(8) }, (): DagClaim => {
    const state = random.pick(["open", "certified", "accepted", "rejected"] as const);
    return { bundle: life.digest(), state, undecided: life.indices(4), rejected: life.indices(3) };
  });
  const epoch = random.below(cluster.network.set.epoch + 2) as Epoch;
  const event = claimsHeard(LIAR, { nowMs: cluster.nowMs, epoch, claims, isLast: random.chance(0.5) });
  life.step(member, () => member.core.onEvent(event));
}

/** The liar reports anything that it holds, also what nobody else has. */
function report(life: DagLife): void {
  const liar = life.cluster.member(LIAR);
  // Its own engine may not survive its lies.
  if (liar.isDown) life.cluster.restart(LIAR);
  const held = [...liar.held].slice(-60);
  if (held.length === 0) return;
  const { ref } = life.random.pick(held);
  const vertexOrPlace = life.random.chance(0.5) ? null : life.random.below(ref.count);
  life.cluster.performOne(liar, {
    kind: "report",
    subject: { bundle: ref.digest, vertex: vertexOrPlace },
    certified: null,
  });
}

function fireTimer(life: DagLife): void {
  const member = life.random.chance(0.2) ? life.cluster.member(OBSERVER) : life.victim();
  const name = life.random.pick(["poll", "patience"] as const);
  life.step(member, () => member.core.onTimer(name, life.cluster.nowMs));
}

function failSync(life: DagLife): void {
  const member = life.victim();
  const from = life.anyone().index;
  const now = { nowMs: life.cluster.nowMs, wallMs: 0 };
  life.step(member, () => member.core.onEvent({ kind: "dag-sync-failed", ...now, from }));
  life.step(member, () => member.core.onPeerConnected(from, life.cluster.nowMs));
}

function die(life: DagLife): void {
  if (!life.random.chance(0.1)) return;
  const { cluster, random } = life;
  const member = life.victim();
  if (member.isDown) return;
  if (random.chance(0.5)) cluster.crash(member.index, random.below(6));
  else cluster.restart(member.index);
  cluster.schedule.after(20 + random.below(200), () => {
    if (member.isDown) cluster.restart(member.index);
    member.effectsLeft = null;
  });
}

function part(life: DagLife): void {
  life.part(life.random.chance(0.1));
}

function endEpoch(life: DagLife): void {
  if (!life.random.chance(0.02)) return;
  // What was signed in one epoch is nothing in the next.
  life.cluster.endEpoch(null);
  life.cluster.run(life.cluster.nowMs + 100);
  life.forgetSaid();
}

function wait(life: DagLife): void {
  life.cluster.run(life.cluster.nowMs + life.random.below(life.random.chance(0.05) ? 1_500 : 25));
}

const OPERATIONS: readonly Operation[] = [
  ...[submit, submit, forge, forge, vote, vote, vote, query, answer, answer, claim, claim, report],
  ...[fireTimer, failSync, die, part, endEpoch, (life: DagLife) => life.replay(), wait, wait, wait, wait],
];
