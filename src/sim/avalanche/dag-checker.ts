import type { AvalancheMessage } from "../../consensus/avalanche/messages.ts";
import type { AvalancheParams } from "../../consensus/avalanche/params.ts";
import type { DagClaim } from "../../consensus/dag-engine.ts";
import type { HeldBundle } from "../../dag/bundle.ts";
import { type Unit, unitKey } from "../../dag/unit.ts";
import type { VoteEntry } from "../../dag/votes.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { Signed } from "../../membership/seal.ts";
import type { DagCluster } from "./dag-cluster.ts";
import type { DagWatch, LiarEffect } from "./dag-cluster-options.ts";
import { DagFacts } from "./dag-facts.ts";
import type { DagMember } from "./dag-member.ts";
import { type DagInvariant, DagViolation } from "./dag-violation.ts";
import type { heardOf } from "./dag-log.ts";

/** What is remembered of one correct member in one epoch; a crash does not end it, since a member's word binds it. */
interface Record {
  isWitness: boolean;
  /** Set -> who got this member's accept. */
  readonly accepted: Map<Hash, Unit>;
  /** Units that an accept or a commit covered already. */
  readonly covered: { readonly accept: Set<string>; readonly commit: Set<string> };
  /** Unit -> distinct validators whose votes were heard. */
  readonly heard: {
    readonly accept: Map<string, Set<ValidatorIndex>>;
    readonly commit: Map<string, Set<ValidatorIndex>>;
  };
  /** Set -> what was reported of it, and in which event. */
  readonly frozen: Map<Hash, { readonly subject: Unit; readonly event: number }[]>;
}

/** What is remembered of one member's process. */
interface Process {
  /** Validators of the epoch before that were heard out. */
  readonly heardOut: Set<ValidatorIndex>;
  isOwnWitness: boolean;
  /** In this event it began; what it says in it was written by the process before. */
  readonly event: number;
  readonly answers: Set<string>;
  /** Bundle -> when it came, and how many answers had come by then. */
  readonly arrivals: Map<Hash, { readonly atMs: number; readonly answers: number }>;
}

/**
 * Watches the correct members of a cluster from outside: what they say, hear and decide. Cheap enough to run after every
 * event: it looks at what the event brought, never at the whole state.
 */
export class DagChecker implements DagWatch {
  readonly #cluster: DagCluster;
  readonly #params: AvalancheParams;
  readonly facts: DagFacts = new DagFacts();
  readonly #records = new Map<string, Record>();
  readonly #processes = new Map<ValidatorIndex, Process>();
  /** Members that claim that a unit is final, by who was told. */
  readonly #claims = new Map<string, Set<ValidatorIndex>>();
  /** Units that the log decided for, by member. */
  readonly #resolved = new Set<string>();
  readonly #ruledOut = new Set<string>();
  /** Whom the log gave a set to. */
  readonly #given = new Map<Hash, Unit>();
  /** What correct members decided: unit -> accepted or rejected, and by whom first. */
  readonly #fates = new Map<string, { readonly fate: "accepted" | "rejected"; readonly by: ValidatorIndex }>();
  readonly #winners = new Map<Hash, { readonly unit: Unit; readonly by: ValidatorIndex }>();
  /** What the step under way decides; its effects tell it last. */
  readonly #deciding = new Map<string, "accepted" | "rejected">();
  checks = 0;

  constructor(cluster: DagCluster) {
    this.#cluster = cluster;
    this.#params = cluster.options.params;
  }

  onBegin(member: DagMember, isRestart: boolean): void {
    const { nowMs } = this.#cluster;
    const arrivals: Process["arrivals"] = new Map();
    for (const { ref } of member.held) arrivals.set(ref.digest, { atMs: nowMs, answers: 0 });
    // Who was there when the epoch before ended has written it down: a restart does not take that away.
    const record = this.#recordOf(member);
    record.isWitness ||= !isRestart && member.previous?.has(member.index) === true;
    const isOwnWitness = record.isWitness;
    this.#processes.set(member.index, {
      heardOut: new Set(),
      isOwnWitness,
      event: isRestart ? this.#cluster.schedule.ran : -1,
      answers: new Set(),
      arrivals,
    });
  }

  onBundle(member: DagMember, held: HeldBundle): void {
    this.facts.add(held);
    const { answers, arrivals } = this.#processOf(member);
    arrivals.set(held.ref.digest, { atMs: this.#cluster.nowMs, answers: answers.size });
  }

  onStep(_: DagMember, effects: readonly LiarEffect[]): void {
    this.#deciding.clear();
    for (const effect of effects) {
      for (const { bundle, place, accepted, rejected } of effect.kind === "decide" ? effect.decisions : []) {
        if (place !== null) this.#deciding.set(bundle, place);
        for (const vertex of accepted) this.#deciding.set(unitKey({ bundle, vertex }), "accepted");
        for (const vertex of rejected) this.#deciding.set(unitKey({ bundle, vertex }), "rejected");
      }
    }
  }

  onSaid(member: DagMember, message: AvalancheMessage): void {
    if (message.kind !== "votes") return;
    for (const entry of message.entries)
      for (const unit of this.#covered(entry)) this.#onVote(member, entry.level, unit);
  }

  onHeard(member: DagMember, { message, proof }: Signed<AvalancheMessage>): void {
    const { signer } = proof.seal;
    if (message.kind === "answer") this.#processOf(member).answers.add(`${message.poll}/${signer}`);
    if (message.kind !== "votes") return;
    const { heard } = this.#recordOf(member);
    for (const entry of message.entries) {
      // A body may come later: what is not known yet is covered up to the largest bundle.
      for (const key of this.facts.keysOf(entry)) {
        const signers = heard[entry.level].get(key) ?? new Set();
        signers.add(signer);
        heard[entry.level].set(key, signers);
      }
    }
  }

  onClaims(member: DagMember, from: ValidatorIndex, epoch: number, claims: readonly DagClaim[]): void {
    if (epoch >= member.network.set.epoch && member.previous?.has(from) === true)
      this.#processOf(member).heardOut.add(from);
    for (const { bundle, state, undecided, rejected } of claims) {
      if (state !== "accepted") continue;
      const units = [{ bundle, vertex: null }, ...this.facts.vertices(bundle)];
      for (const unit of units) {
        if (unit.vertex !== null && (undecided.includes(unit.vertex) || rejected.includes(unit.vertex))) continue;
        const key = `${member.index}:${unitKey(unit)}`;
        this.#claims.set(key, (this.#claims.get(key) ?? new Set()).add(from));
      }
    }
  }

  onReport(member: DagMember, { subject, certified }: Extract<LiarEffect, { readonly kind: "report" }>): void {
    const record = this.#recordOf(member);
    for (const set of this.facts.setsOf(subject)) {
      const event = this.#cluster.schedule.ran;
      record.frozen.set(set, [...(record.frozen.get(set) ?? []), { subject, event }]);
      for (const rival of this.facts.membersOf(set)) {
        if (unitKey(rival) === unitKey(subject) || !record.covered.commit.has(unitKey(rival))) continue;
        if (this.#isDead(member, rival)) continue;
        this.#require(
          "honest-report",
          certified !== null,
          member,
          subject,
          "reported without the certificate of a rival",
        );
      }
    }
  }

  onResolved(member: DagMember, { decided, lost = [] }: ReturnType<typeof heardOf>): void {
    for (const unit of lost) this.#ruledOut.add(unitKey(unit));
    for (const { winner, sets } of decided) {
      for (const set of sets) this.#given.set(set, winner);
      this.#resolved.add(`${member.index}:${unitKey(winner)}`);
      const place = { bundle: winner.bundle, vertex: null };
      if (this.facts.setsOf(place).some((set) => sets.includes(set)))
        this.#resolved.add(`${member.index}:${unitKey(place)}`);
    }
  }

  onDecided(member: DagMember, { decisions }: Extract<LiarEffect, { readonly kind: "decide" }>): void {
    for (const { bundle, place, accepted, rejected } of decisions) {
      if (place !== null) this.#onFate(member, { bundle, vertex: null }, place);
      for (const vertex of accepted) this.#onFate(member, { bundle, vertex }, "accepted");
      for (const vertex of rejected) this.#onFate(member, { bundle, vertex }, "rejected");
    }
  }

  /** Who won a set at any correct member. */
  winnerOf(set: Hash): Unit | null {
    return this.#winners.get(set)?.unit ?? null;
  }

  /** Whether the log gave a set to a vertex that died afterwards with its bundle: then nobody has it (`judge`). */
  isBurnt(set: Hash): boolean {
    const winner = this.#given.get(set);
    return winner !== undefined && this.fateOf(winner) === "rejected";
  }

  /** Whether the log decided against a unit because of a rival that had lost before (`judge`: both lose what they claimed together). */
  isRuledOut(unit: Unit): boolean {
    return this.#ruledOut.has(unitKey(unit));
  }

  fateOf(unit: Unit): "accepted" | "rejected" | null {
    return this.#fates.get(unitKey(unit))?.fate ?? null;
  }

  #onFate(member: DagMember, unit: Unit, fate: "accepted" | "rejected"): void {
    this.checks += 1;
    const key = unitKey(unit);
    const known = this.#fates.get(key);
    if (known === undefined) this.#fates.set(key, { fate, by: member.index });
    const says = `${fate} here, ${known?.fate} by member ${known?.by}`;
    this.#require("agreement", known === undefined || known.fate === fate, member, unit, says);
    if (fate === "rejected") return;
    for (const set of this.facts.setsOf(unit)) {
      const winner = this.#winners.get(set);
      if (winner === undefined) this.#winners.set(set, { unit, by: member.index });
      const isSame = winner === undefined || unitKey(winner.unit) === key;
      this.#require(
        "agreement",
        isSame,
        member,
        unit,
        `accepted, but member ${winner?.by} accepted ${winner?.unit.bundle} of its set`,
      );
    }
    this.#require("proved-final", this.#isProved(member, unit), member, unit, "final without proof");
  }

  #isProved(member: DagMember, unit: Unit): boolean {
    const { set } = member.network;
    const key = unitKey(unit);
    const own = `${member.index}:${key}`;
    if ((this.#recordOf(member).heard.commit.get(key)?.size ?? 0) >= set.quorum || this.#resolved.has(own)) return true;
    return (this.#claims.get(own)?.size ?? 0) >= set.honestMinority;
  }

  #onVote(member: DagMember, level: VoteEntry["level"], unit: Unit): void {
    const record = this.#recordOf(member);
    const key = unitKey(unit);
    if (record.covered[level].has(key)) return;
    record.covered[level].add(key);
    this.checks += 1;
    if (this.#isFinal(member, unit)) return;
    const sets = this.facts.setsOf(unit);
    // What was voted in the very step of the report came before it (`onTick`), and leaves after it.
    const { ran } = this.#cluster.schedule;
    const frozen = sets.find((set) =>
      record.frozen.get(set)?.some(({ subject, event }) => {
        return event !== ran && !this.#isDead(member, subject);
      }),
    );
    const isSaidAgain = this.#processOf(member).event === ran;
    if (isSaidAgain && level === "accept") return this.#lock(member, record, unit, sets);
    if (isSaidAgain) return;
    this.#require("promise-kept", frozen === undefined, member, unit, `${level} after a report on its set`);
    this.#require("gate", this.#isThroughGate(member), member, unit, `${level} before the epoch before was heard out`);
    if (level === "accept") this.#onAccept(member, record, unit, sets);
    else {
      const heard = record.heard.accept.get(key)?.size ?? 0;
      const { quorum } = member.network.set;
      const isCertified = heard >= quorum || (unit.vertex === null && this.#isCertified(record, unit.bundle, quorum));
      this.#require("certified-commit", isCertified, member, unit, `commits with ${heard} of ${quorum} accepts`);
    }
  }

  #onAccept(member: DagMember, record: Record, unit: Unit, sets: readonly Hash[]): void {
    this.#lock(member, record, unit, sets);
    if (unit.vertex === null) this.#checkParents(member, record, unit);
    this.#checkSampling(member, unit);
  }

  #lock(member: DagMember, record: Record, unit: Unit, sets: readonly Hash[]): void {
    for (const set of sets) {
      const before = record.accepted.get(set);
      // What has lost for good frees the sets that it did not lose.
      const isFree = before === undefined || this.#isDead(member, before);
      this.#require(
        "one-accept",
        isFree,
        member,
        unit,
        `accepts a second member of set ${set} after ${before?.bundle}`,
      );
      record.accepted.set(set, unit);
    }
  }

  #isFinal(member: DagMember, unit: Unit): boolean {
    return member.isAccepted(unit.bundle, unit.vertex) || this.#deciding.get(unitKey(unit)) === "accepted";
  }

  #isDead(member: DagMember, { bundle, vertex }: Unit): boolean {
    if (this.#deciding.get(bundle) === "rejected" || this.#deciding.get(unitKey({ bundle, vertex })) === "rejected")
      return true;
    return member.placeOf(bundle) === "rejected" || (vertex !== null && member.isRejected(bundle, vertex));
  }

  #checkParents(member: DagMember, record: Record, unit: Unit): void {
    for (const parent of this.facts.parentsOf(unit.bundle)) {
      const key = unitKey({ bundle: parent, vertex: null });
      const isVoted =
        record.covered.accept.has(key) ||
        this.#isFinal(member, { bundle: parent, vertex: null }) ||
        this.#isCertified(record, parent, member.network.set.quorum);
      this.#require("ancestors-first", isVoted, member, unit, `accepted before its parent ${parent}`);
    }
  }

  /** Whether a quorum's accepts for a bundle's place were heard, or for that of a descendant: it had theirs before. */
  #isCertified({ heard }: Record, bundle: Hash, quorum: number): boolean {
    const seen = new Set([bundle]);
    for (const each of seen) {
      if ((heard.accept.get(each)?.size ?? 0) >= quorum) return true;
      for (const child of this.facts.childrenOf(each)) seen.add(child);
    }
    return false;
  }

  /** A lower bound, for what is uncontested: earlyBeta polls of which each had its answers, less the own one. */
  #checkSampling(member: DagMember, unit: Unit): void {
    const { answers, arrivals } = this.#processOf(member);
    const { earlyBeta, confidenceThreshold, patienceMs } = this.#params;
    const arrival = arrivals.get(unit.bundle);
    if (arrival === undefined || this.#cluster.nowMs - arrival.atMs >= patienceMs) return;
    const got = answers.size - arrival.answers;
    const least = earlyBeta * (confidenceThreshold - 1);
    this.#require("sampled-accept", got >= least, member, unit, `accepted after ${got} answers, not ${least}`);
  }

  #isThroughGate(member: DagMember): boolean {
    if (member.previous === null) return true;
    const { heardOut, isOwnWitness } = this.#processOf(member);
    return heardOut.size + (isOwnWitness ? 1 : 0) >= member.previous.quorum;
  }

  #covered({ bundle, except }: VoteEntry): readonly Unit[] {
    return [{ bundle, vertex: null }, ...this.facts.vertices(bundle).filter(({ vertex }) => !except.includes(vertex))];
  }

  #require(code: DagInvariant, condition: boolean, member: DagMember, unit: Unit, what: string): void {
    if (condition) return;
    const where = unit.vertex === null ? "place" : `vertex ${unit.vertex}`;
    const at = this.#cluster.nowMs.toFixed(0);
    throw new DagViolation(code, `${at} ms, member ${member.index}, ${where} of bundle ${unit.bundle}: ${what}`);
  }

  #recordOf(member: DagMember): Record {
    const key = `${member.index}/${member.network.set.epoch}`;
    let record = this.#records.get(key);
    if (record === undefined) {
      record = {
        isWitness: false,
        accepted: new Map(),
        covered: { accept: new Set(), commit: new Set() },
        heard: { accept: new Map(), commit: new Map() },
        frozen: new Map(),
      };
      this.#records.set(key, record);
    }
    return record;
  }

  #processOf(member: DagMember): Process {
    let process = this.#processes.get(member.index);
    if (process === undefined) {
      process = { heardOut: new Set(), isOwnWitness: false, event: -1, answers: new Set(), arrivals: new Map() };
      this.#processes.set(member.index, process);
    }
    return process;
  }
}
