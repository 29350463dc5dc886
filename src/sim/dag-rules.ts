import { decode } from "../codec/codec.ts";
import { Reader } from "../codec/reader.ts";
import { ownRow, votedIn } from "../consensus/avalanche/durable.ts";
import { decodeMessage, isAvalancheBytes } from "../consensus/avalanche/messages.ts";
import type { DagEvent } from "../consensus/dag-engine.ts";
import type { Effect, EngineEvent } from "../consensus/engine.ts";
import type { NodeMessage } from "../node/engines.ts";
import { bundleCodec, bundleHeaderCodec, type BundlePurpose } from "../dag/bundle.ts";
import { type Unit, unitKey } from "../dag/unit.ts";
import { openUnit } from "../dag/unit-proof.ts";
import type { VoteEntry } from "../dag/votes.ts";
import type { Hash } from "../lib/hash.ts";
import type { Epoch } from "../membership/ids.ts";
import type { NetworkContext } from "../membership/validator-set.ts";
import { reportsOf } from "../node/membership-bundles.ts";
import type { SealedFrame } from "../node/wire.ts";
import type { DagChecker } from "./dag-checker.ts";
import type { DagKnowledge, KnownBundle } from "./dag-knowledge.ts";
import { Violation } from "./violation.ts";
import type { DurableRow } from "./vote-rules.ts";

/** A conflict that a node reported to the log. */
interface Reported {
  readonly subject: string;
  /** Whether the report left; before that a crash takes the promise back. */
  hasLeft: boolean;
}

/** What one correct validator said in one epoch. */
interface Witness {
  readonly epoch: Epoch;
  readonly quorum: number;
  /** The unit voted for, by level and conflict set. */
  readonly locks: Map<string, string>;
  /** Units that its engine voted for, by level. */
  readonly voted: Set<string>;
  /** Entries that left, and were found to be durable. */
  readonly said: Set<string>;
  /** Sets about which it promised silence. */
  readonly frozen: Map<Hash, Reported>;
  /** Votes and reports of the step under way: what it makes final counts for all of them. */
  readonly votes: VoteEntry[];
  readonly reported: Unit[];
}

/** What of a step's event is looked at. */
export type DagStep =
  | Extract<DagEvent, { readonly kind: "resolutions" }>
  | { readonly kind: Exclude<EngineEvent<never>["kind"], "resolutions"> };

export interface DagRulesOptions {
  readonly checker: DagChecker;
  readonly network: NetworkContext;
  /** How many validators may say whatever they like. */
  readonly liars: number;
  /** Whether nothing of a bundle is open any more on a node's disk. */
  readonly isSettled: (place: number, bundle: KnownBundle) => boolean;
}

/**
 * The promises of the binding votes (docs/decisions/0006): one accept for each conflict set and epoch, a commit only where a
 * quorum accepted, no vote on what was reported to the log until it decides, and each on the disk before it leaves.
 */
export class DagRules {
  readonly #options: DagRulesOptions;
  readonly #knowledge: DagKnowledge;
  readonly #witnesses = new Map<number, Witness>();
  /** For each epoch and bundle: who accepted it, and what each left out. */
  readonly #accepts = new Map<string, Map<number, ReadonlySet<number>>>();
  /** By epoch: places of which a quorum may have accepted them or a descendant. */
  readonly #certified = new Set<string>();
  /** Units that the log decided for. */
  readonly #ruled = new Set<string>();
  checks = 0;

  constructor(options: DagRulesOptions) {
    this.#options = options;
    this.#knowledge = options.checker.knowledge;
  }

  /** An engine takes over: that of another epoch, or one of the same that remembers what its rows say. */
  onEngine(place: number, { epoch, quorum }: { readonly epoch: Epoch; readonly quorum: number }): void {
    if (this.#witnesses.get(place)?.epoch === epoch) return;
    this.#witnesses.set(place, newWitness(epoch, quorum));
  }

  /** A life begins: what did not leave was never said. */
  onStart(place: number): void {
    const witness = this.#witnesses.get(place);
    if (witness === undefined) return;
    witness.reported.length = 0;
    witness.votes.length = 0;
    for (const [set, { hasLeft }] of [...witness.frozen]) if (!hasLeft) witness.frozen.delete(set);
  }

  /** Its votes of this epoch are forgotten: until what was in flight is decided, it is one of the f. */
  onDiskLost(place: number): void {
    const witness = this.#witnesses.get(place);
    if (witness !== undefined) this.#witnesses.set(place, newWitness(witness.epoch, witness.quorum));
  }

  /** Before a step's effects: what the step before reported begins to bind, and the log's word ends it. */
  onStep(place: number, event: DagStep): void {
    const witness = this.#witnesses.get(place);
    if (witness === undefined) return;
    for (const entry of witness.votes.splice(0)) this.#onVoted(place, witness, entry);
    for (const unit of witness.reported.splice(0)) {
      for (const set of this.#knowledge.setsOf(unit)) {
        witness.frozen.set(set, { subject: unitKey(unit), hasLeft: witness.frozen.get(set)?.hasLeft ?? false });
      }
    }
    if (event.kind !== "resolutions") return;
    for (const { winner } of event.decided) this.#ruled.add(unitKey(winner));
    const released = event.decided.flatMap(({ sets }) => sets);
    for (const unit of event.lost ?? []) released.push(...this.#knowledge.setsOf(unit));
    for (const set of released) witness.frozen.delete(set);
  }

  onEffect(place: number, effect: Effect<NodeMessage>): void {
    const witness = this.#witnesses.get(place);
    if (witness === undefined) return;
    if (effect.kind === "report") witness.reported.push(effect.subject);
    if (effect.kind !== "broadcast" && effect.kind !== "send" && effect.kind !== "multicast") return;
    if (effect.message.kind === "votes") witness.votes.push(...effect.message.entries);
  }

  /** What left a correct node on the consensus lane. */
  onSent(place: number, { epoch, items }: SealedFrame, row: DurableRow): void {
    const witness = this.#witnesses.get(place);
    if (witness === undefined) return;
    for (const { body } of items) {
      if (!isAvalancheBytes(body)) continue;
      const message = decodeMessage(body);
      if (message.kind !== "votes") continue;
      for (const entry of message.entries) {
        const key = `${entry.level}/${entry.bundle}:${entry.except.join()}`;
        if (epoch === witness.epoch && witness.said.has(key)) continue;
        this.checks += 1;
        if (epoch === witness.epoch) this.#checkLocks(place, witness, entry);
        this.#checkDurable(place, epoch, entry, row);
        if (epoch === witness.epoch) witness.said.add(key);
      }
    }
  }

  /** What left it on the other lane: a report that is out binds over crashes. */
  onBundles(place: number, { items }: SealedFrame): void {
    const frozen = this.#witnesses.get(place)?.frozen;
    if (frozen === undefined || frozen.size === 0) return;
    for (const { body } of items) {
      if (purposeOf(body) !== "resolution") continue;
      for (const report of reportsOf(decode(bundleCodec, body))) {
        const subject = openUnit(this.#options.network, report.subject);
        if (subject === null) continue;
        const key = unitKey(subject.unit);
        for (const promise of frozen.values()) if (promise.subject === key) promise.hasLeft = true;
      }
    }
  }

  #onVoted(place: number, witness: Witness, { level, bundle, except }: VoteEntry): void {
    const known = this.#knowledge.get(bundle, `node ${place} votes for`);
    this.checks += 1;
    if (level === "accept") this.#countAccept(place, witness, known, except);
    const entry = `${level}/${bundle}:${except.join()}`;
    if (witness.voted.has(entry)) return;
    witness.voted.add(entry);
    for (const unit of unitsOf(known, except)) {
      const key = `${level}/${unitKey(unit)}`;
      if (witness.voted.has(key)) continue;
      witness.voted.add(key);
      const isFinal = this.#options.checker.outcomeOf(unit) === "accepted" || this.#ruled.has(unitKey(unit));
      if (level === "commit" && !isFinal && !this.#isCertified(witness, known, unit))
        throw new Violation("lock-respected", `node ${place} commits to ${unitKey(unit)} without a quorum's accepts`);
      const { checker } = this.#options;
      const set = this.#knowledge.setsOf(unit).find((one) => witness.frozen.has(one) && checker.winnerOf(one) === null);
      if (set !== undefined && !isFinal)
        throw new Violation(
          "lock-respected",
          `node ${place} votes ${level} for ${unitKey(unit)} after it reported conflict set ${set} to the log`,
        );
    }
  }

  #countAccept(place: number, witness: Witness, known: KnownBundle, except: readonly number[]): void {
    const { digest } = known.held.ref;
    const key = `${witness.epoch}/${digest}`;
    const votes = this.#accepts.get(key) ?? new Map<number, ReadonlySet<number>>();
    this.#accepts.set(key, votes);
    const before = votes.get(place);
    votes.set(place, new Set(before === undefined ? except : except.filter((vertex) => before.has(vertex))));
    if (votes.size + this.#options.liars >= witness.quorum) this.#certify(witness.epoch, digest);
  }

  /** A vote for a bundle is one for its ancestry. */
  #certify(epoch: Epoch, first: Hash): void {
    const waiting = [first];
    for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
      const key = `${epoch}/${digest}`;
      if (this.#certified.has(key)) continue;
      this.#certified.add(key);
      const parents = this.#knowledge.find(digest)?.held.bundle.parents ?? [];
      for (const parent of parents) waiting.push(...this.#knowledge.byTip(parent));
    }
  }

  #isCertified({ epoch, quorum }: Witness, { held }: KnownBundle, { vertex }: Unit): boolean {
    const key = `${epoch}/${held.ref.digest}`;
    if (vertex === null) return this.#certified.has(key);
    const votes = [...(this.#accepts.get(key)?.values() ?? [])];
    return votes.filter((except) => !except.has(vertex)).length + this.#options.liars >= quorum;
  }

  #checkLocks(place: number, { epoch, locks }: Witness, { level, bundle, except }: VoteEntry): void {
    const known = this.#knowledge.get(bundle, `node ${place} votes for`);
    const contestable = [...known.sets.keys()].filter((vertex) => !except.includes(vertex));
    for (const vertex of [null, ...contestable]) {
      const unit: Unit = { bundle, vertex };
      const key = unitKey(unit);
      for (const set of this.#knowledge.setsOf(unit)) {
        const before = locks.get(`${level}/${set}`);
        // What has lost for good locks nothing any more: a vertex of two sets frees the one when it loses the other.
        if (before !== undefined && before !== key && !this.#options.checker.isLost(before))
          throw new Violation(
            "no-contradiction",
            `node ${place} votes ${level} for ${key} in epoch ${epoch}, and did so for ${before} of the same set`,
          );
        locks.set(`${level}/${set}`, key);
      }
    }
  }

  /** What a vote says is on the disk at the moment at which it leaves; of what is settled it is forgotten on purpose. */
  #checkDurable(place: number, epoch: Epoch, { level, bundle, except }: VoteEntry, row: DurableRow): void {
    const known = this.#knowledge.get(bundle, `node ${place} votes for`);
    const key = ownRow(bundle);
    const value = row(epoch, key);
    const written = value === undefined ? undefined : votedIn(value)[level];
    if (written?.every((vertex) => except.includes(vertex)) === true) return;
    if (this.#options.isSettled(place, known)) return;
    throw new Violation(
      "durable-before-visible",
      `node ${place} said ${level} for ${bundle} before that was on its disk`,
    );
  }
}

function newWitness(epoch: Epoch, quorum: number): Witness {
  return {
    epoch,
    quorum,
    locks: new Map(),
    voted: new Set(),
    said: new Set(),
    frozen: new Map(),
    votes: [],
    reported: [],
  };
}

/** What an entry covers: the place, and of the vertices those that are not excepted. */
function unitsOf({ held }: KnownBundle, except: readonly number[]): readonly Unit[] {
  const { digest: bundle, count } = held.ref;
  const without = new Set(except);
  const units: Unit[] = [{ bundle, vertex: null }];
  for (let vertex = 0; vertex < count; vertex++) if (!without.has(vertex)) units.push({ bundle, vertex });
  return units;
}

/** Only the header is read: most bundles are clients'. */
function purposeOf(body: Uint8Array): BundlePurpose {
  return bundleHeaderCodec.decode(new Reader(body)).purpose;
}
