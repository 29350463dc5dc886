import type { Answer, AvalancheMessage, Dissent, Query } from "../../consensus/avalanche/messages.ts";
import type { DagClaim } from "../../consensus/dag-engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { sealEnvelope } from "../../dag/conflict-keys.ts";
import type { LaneTip } from "../../dag/lanes.ts";
import { type Unit, unitKey } from "../../dag/unit.ts";
import type { Votes } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { Random } from "../random.ts";
import type { Behaviour } from "./dag-behaviour.ts";
import type { DagCluster } from "./dag-cluster.ts";
import type { DagLiar, LiarEffect } from "./dag-cluster-options.ts";
import type { DagMember } from "./dag-member.ts";
import type { DagSchemer } from "./dag-schemer.ts";

/** How often a liar acts on its own, in virtual milliseconds. */
export const LIAR_TICK_MS = 50;

/** Bundles of one liar in a run: memory limits are another test. */
const BUNDLES_MAX = 10;

const LATE_MS_MAX = 1_500;
const RESAY_MS = 700;

/** One liar. It runs an engine, whose words it changes, and acts on its own at every tick. */
export class DagAdversary implements DagLiar {
  readonly #behaviour: Behaviour;
  readonly #random: Random;
  readonly #keys: readonly string[];
  #schemer: DagSchemer | null = null;
  #cluster: DagCluster | null = null;
  readonly #queries = new Map<string, Query>();
  /** When something was said to a member about a bundle. */
  readonly #said = new Map<string, number>();
  readonly #reported = new Set<string>();
  readonly #ownBundles = new Set<Hash>();
  #branches: LaneTip[] = [];

  constructor(behaviour: Behaviour, random: Random, keys: readonly string[]) {
    this.#behaviour = behaviour;
    this.#random = random;
    this.#keys = keys;
  }

  join(cluster: DagCluster, schemer: DagSchemer): void {
    this.#cluster = cluster;
    this.#schemer = schemer;
  }

  hear({ from, message }: { readonly from: ValidatorIndex; readonly message: AvalancheMessage }): boolean {
    if (message.kind === "query") {
      this.#queries.set(`${from}/${message.poll}`, message);
      if (this.#queries.size > 4_096) this.#queries.clear();
    }
    return false;
  }

  alter(effect: LiarEffect, self: ValidatorIndex): readonly LiarEffect[] {
    const { votes, reports } = this.#behaviour;
    switch (effect.kind) {
      case "send":
        return effect.message.kind === "answer" ? this.#answer(effect, effect.message, self) : [effect];
      case "broadcast":
        return effect.message.kind === "votes" && votes !== "honest" ? [] : [effect];
      case "report":
        return reports === "honest" ? [effect] : [];
      default:
        return [effect];
    }
  }

  claims(claims: readonly DagClaim[], asker: ValidatorIndex): readonly DagClaim[] {
    const schemer = this.#schemer;
    if (!this.#behaviour.claims || schemer === null) return claims;
    const choose = (set: Hash): Unit | null => schemer.halved(set, asker);
    return claims.map((claim): DagClaim => {
      if (claim.state === "accepted" && !this.#random.chance(0.3)) return claim;
      const isChosen = schemer.isChosen({ bundle: claim.bundle, vertex: null }, choose);
      const undecided = schemer.facts
        .vertices(claim.bundle)
        .filter((unit) => !schemer.isChosen(unit, choose))
        .map(({ vertex }) => vertex);
      if (!isChosen || this.#random.chance(0.1)) return { ...claim, state: "rejected", undecided: [] };
      const isRejecting = this.#random.chance(0.5);
      return {
        bundle: claim.bundle,
        state: this.#random.chance(0.5) ? "accepted" : "certified",
        undecided: isRejecting ? [] : undecided,
        rejected: isRejecting ? undecided : [],
      };
    });
  }

  serves(held: HeldBundle): boolean {
    return !this.#behaviour.withholds || !this.#ownBundles.has(held.ref.digest);
  }

  /** Acts on its own; `makes` says whether it still makes bundles. */
  tick(self: ValidatorIndex, makes: boolean): void {
    const cluster = this.#cluster;
    if (cluster === null) return;
    const member = cluster.member(self);
    if (member.isDown || !member.network.set.has(self)) return;
    const { forks, spends, withholds, floods, votes, reports } = this.#behaviour;
    if (makes && (forks || spends || withholds) && this.#random.chance(0.12)) this.#make(cluster, member);
    if (votes === "double" || votes === "tip") this.#voteForBoth(cluster, member);
    if (reports === "lies") this.#report(cluster, member);
    if (floods) this.#flood(cluster, member);
  }

  #answer(effect: LiarEffect, answer: Answer, self: ValidatorIndex): readonly LiarEffect[] {
    const { answers } = this.#behaviour;
    const key = `${answer.to}/${answer.poll}`;
    const query = this.#queries.get(key);
    this.#queries.delete(key);
    if (answers === "honest") return [effect];
    if (answers === "silent" || query === undefined) return [];
    const cluster = this.#cluster;
    if (answers === "late" && cluster !== null) {
      const { life } = cluster.member(self);
      cluster.schedule.after(this.#random.below(LATE_MS_MAX), () => {
        if (cluster.member(self).life === life) cluster.performOne(cluster.member(self), effect);
      });
      return [];
    }
    const message = answers === "random" ? this.#atRandom(answer, query) : this.#scheming(answer, query);
    return [{ kind: "send", to: answer.to, message }];
  }

  #atRandom(answer: Answer, query: Query): Answer {
    return { ...answer, heads: query.lanes.map((lane) => this.#random.below(lane.length + 1)), dissents: [] };
  }

  /** Prefers of each contested set what keeps the network split, or helps the target alone. */
  #scheming(answer: Answer, query: Query): Answer {
    const schemer = this.#schemer;
    if (schemer === null) return answer;
    const helps = this.#behaviour.answers === "tip" && answer.to === schemer.target;
    const choose = (set: Hash): Unit | null =>
      helps ? schemer.tipped(set, answer.to) : schemer.splitting(set, answer.to);
    const dissents: Dissent[] = [];
    const heads = query.lanes.map((lane) => {
      const head = lane.findIndex((digest) => schemer.isStrong(digest, choose));
      for (const bundle of head < 0 ? [] : lane.slice(head)) {
        const vertices = schemer.facts
          .vertices(bundle)
          .filter((unit) => !schemer.isChosen(unit, choose))
          .map(({ vertex }) => vertex);
        if (vertices.length > 0 && dissents.length < 200) dissents.push({ bundle, vertices });
      }
      return head < 0 ? lane.length : head;
    });
    return { ...answer, heads, dissents };
  }

  /** Accepts and commits to one member of a set where some look, and to another where others do. */
  #voteForBoth(cluster: DagCluster, member: DagMember): void {
    const schemer = this.#schemer;
    if (schemer === null) return;
    for (const to of cluster.correct) {
      if (to.isDown || !member.network.set.has(to.index)) continue;
      const choose = (set: Hash): Unit | null =>
        this.#behaviour.votes === "tip" ? schemer.tipped(set, to.index) : schemer.halved(set, to.index);
      const entries: Votes["entries"][number][] = [];
      for (const { ref } of to.held) {
        const isWorthIt = to.placeOf(ref.digest) === "open" || to.core.claimOf(ref.digest)?.undecided.length !== 0;
        if (!isWorthIt || !schemer.isChosen({ bundle: ref.digest, vertex: null }, choose)) continue;
        const except = schemer.facts
          .vertices(ref.digest)
          .filter((unit) => !schemer.isChosen(unit, choose))
          .map(({ vertex }) => vertex);
        const key = `${to.index}:${member.network.set.epoch}:${ref.digest}:${except.join()}`;
        if (cluster.nowMs - (this.#said.get(key) ?? -RESAY_MS) < RESAY_MS) continue;
        this.#said.set(key, cluster.nowMs);
        entries.push({ level: "accept", bundle: ref.digest, except }, { level: "commit", bundle: ref.digest, except });
      }
      for (let at = 0; at < entries.length; at += 200)
        cluster.say(member.index, to.index, { kind: "votes", entries: entries.slice(at, at + 200) });
    }
  }

  /** Reports every member of a contested set, with a certificate where the liars' votes complete one, and without. */
  #report(cluster: DagCluster, member: DagMember): void {
    const schemer = this.#schemer;
    if (schemer === null || !this.#random.chance(0.3)) return;
    for (const set of schemer.facts.sets) {
      if (!schemer.isContested(set) || this.#random.chance(0.7)) continue;
      for (const subject of schemer.rivals(set)) {
        const key = `${member.network.set.epoch}:${unitKey(subject)}`;
        if (member.get(subject.bundle) === undefined || this.#reported.has(key)) continue;
        this.#reported.add(key);
        const rival = schemer.rivals(set).find((unit) => {
          return unitKey(unit) !== unitKey(subject) && this.#canCertify(cluster, member, unit);
        });
        const certified = rival === undefined || this.#random.chance(0.5) ? null : { unit: rival, votes: [] };
        cluster.performOne(member, { kind: "report", subject, certified });
      }
    }
  }

  /** Whether the correct accepts that this liar heard and the accepts of all liars are a quorum. */
  #canCertify(cluster: DagCluster, { inside, network }: DagMember, { bundle, vertex }: Unit): boolean {
    const accepts = inside.nodeOf(bundle)?.accepts;
    if (accepts === undefined) return false;
    let count = vertex === null ? accepts.size : accepts.count(vertex);
    for (const { index, isCorrect } of cluster.members)
      if (!isCorrect && network.set.has(index) && !accepts.has(index)) count += 1;
    return count >= network.set.quorum;
  }

  #flood(cluster: DagCluster, member: DagMember): void {
    const victim = this.#random.pick(cluster.correct);
    if (victim.isDown || !member.network.set.has(victim.index)) return;
    const known = [...member.held].map(({ ref }) => ref.digest);
    for (let at = 0; at < 20; at++) {
      const lanes = [known.slice(-16), [victim.network.genesis]].filter((lane) => lane.length > 0);
      cluster.say(member.index, victim.index, { kind: "query", poll: 1_000_000 + at, lanes });
    }
    // Answers that nobody asked it for, and twice.
    for (const poll of victim.inside.polls.values()) {
      const heads = poll.chains.map(() => 0);
      const answer: Answer = { kind: "answer", to: victim.index, poll: poll.id, heads, dissents: [] };
      for (let again = 0; again < 3; again++) cluster.say(member.index, victim.index, answer);
    }
  }

  #make(cluster: DagCluster, member: DagMember): void {
    if (this.#ownBundles.size >= BUNDLES_MAX) return;
    const { forks, withholds } = this.#behaviour;
    if (this.#branches.length === 0) this.#branches = [member.tip];
    const at = this.#random.below(this.#branches.length);
    const tip = this.#branches[at];
    if (tip === undefined) return;
    const correct = cluster.correct.map(({ index }) => index);
    const liars = cluster.members.filter(({ isCorrect }) => !isCorrect).map(({ index }) => index);
    const half = (parity: number): readonly ValidatorIndex[] => correct.filter((index) => index % 2 === parity);
    const few = (): readonly ValidatorIndex[] => this.#random.shuffled(correct).slice(0, 1 + this.#random.below(2));
    const first = this.#bundle(cluster, member, tip);
    if (forks && this.#branches.length < 3 && this.#random.chance(0.6)) {
      const second = this.#bundle(cluster, member, tip);
      this.#branches = [...this.#branches.filter((_, place) => place !== at), tipOf(first), tipOf(second)];
      cluster.spread(member.index, first, [...liars, ...(withholds ? few() : half(0))]);
      cluster.spread(member.index, second, [...liars, ...(withholds ? few() : half(1))]);
      return;
    }
    this.#branches[at] = tipOf(first);
    const to = withholds ? few() : this.#random.chance(0.3) ? half(this.#random.below(2)) : correct;
    cluster.spread(member.index, first, [...liars, ...to]);
  }

  #bundle(cluster: DagCluster, member: DagMember, tip: LaneTip): HeldBundle {
    const random = this.#random;
    const count = 1 + random.below(3);
    const payloads = Array.from({ length: count }, () => {
      const keys = this.#behaviour.spends && random.chance(0.8) ? 1 + random.below(3) : 0;
      return vertexOf(random.next(), random.shuffled(this.#keys).slice(0, keys));
    });
    const others = [...member.held].filter(({ ref }) => ref.creator !== member.index);
    const isRogue = others.length > 0 && random.chance(0.4);
    const second = isRogue ? random.pick(others).ref.tip : member.core.secondParent(cluster.nowMs);
    const held = member.formAfter(tip, payloads, { nowMs: cluster.nowMs, second });
    this.#ownBundles.add(held.ref.digest);
    return held;
  }
}

function tipOf({ ref }: HeldBundle): LaneTip {
  return { nonce: (ref.firstNonce + ref.count - 1) as Nonce, tip: ref.tip };
}

/** A vertex that claims these keys; the number tells it from others. */
export function vertexOf(number: number, keys: readonly string[]): Uint8Array {
  const bytes = (word: string): Uint8Array => Uint8Array.from(word, (char) => char.charCodeAt(0));
  return sealEnvelope({ conflictKeys: keys.map(bytes), payload: bytes(`v${number}`) });
}
