import type { DagDecision } from "../consensus/dag-engine.ts";
import { openEnvelope } from "../dag/conflict-keys.ts";
import { type Unit, unitKey } from "../dag/unit.ts";
import type { Hash } from "../lib/hash.ts";
import type { FinalizedItem } from "../node/service.ts";
import type { DagKnowledge, KnownBundle } from "./dag-knowledge.ts";
import { LIARS_MARK, textOf, Violation } from "./violation.ts";

type Outcome = "accepted" | "rejected";

/** What one correct node decided and told, over all its lives. */
interface Witness {
  /** Bundles that took their place at this node. */
  placed: Set<Hash>;
  /** Units that it decided, in any life. */
  readonly decided: Set<string>;
  /** What it told as final, in its order. */
  told: Hash[];
  readonly positions: Map<Hash, number>;
  /** Clients' payloads among it. */
  readonly payloads: Set<string>;
  timestampMs: number;
}

/** What a correct node promised a client to keep (202). */
interface Promised {
  readonly by: number;
  readonly text: string;
}

/**
 * What must hold in a leaderless network whatever happens: of what conflicts one is final everywhere, nothing is final here
 * and rejected there, ancestors come first, and each node's own order has neither gaps nor repetitions, over crashes too.
 */
export class DagChecker {
  readonly knowledge: DagKnowledge;
  readonly #genesis: Hash;
  readonly #outcomes = new Map<string, { readonly outcome: Outcome; readonly by: number }>();
  /** The unit that is final, by conflict set. */
  readonly #winners = new Map<Hash, string>();
  readonly #witnesses = new Map<number, Witness>();
  readonly #submitted = new Set<string>();
  readonly #promised: Promised[] = [];
  #accepted = 0;
  checks = 0;

  constructor(knowledge: DagKnowledge, genesis: Hash) {
    this.knowledge = knowledge;
    this.#genesis = genesis;
  }

  /** Vertices that are final anywhere. */
  get ordered(): number {
    return this.#accepted;
  }

  position(place: number): number {
    return this.#of(place).told.length;
  }

  outcomeOf(unit: Unit): Outcome | null {
    return this.#outcomes.get(unitKey(unit))?.outcome ?? null;
  }

  /** Of a unit by its `unitKey`. */
  isLost(key: string): boolean {
    return this.#outcomes.get(key)?.outcome === "rejected";
  }

  /** The unit that is final of a conflict set, by `unitKey`; null where none is yet. */
  winnerOf(set: Hash): string | null {
    return this.#winners.get(set) ?? null;
  }

  /** What a client gave a correct validator, in its envelope. */
  onSubmitted(vertexPayload: Uint8Array): void {
    this.#submitted.add(clientText(vertexPayload));
  }

  onPromised(by: number, vertexPayloads: readonly Uint8Array[]): void {
    for (const payload of vertexPayloads) this.#promised.push({ by, text: clientText(payload) });
  }

  /** A life begins: places that were not durable are open again. `isPlaced` looks at the disk. */
  onStart(place: number, isPlaced: (bundle: KnownBundle) => boolean): void {
    const witness = this.#of(place);
    const kept = [...witness.placed].filter((digest) => isPlaced(this.knowledge.get(digest, `node ${place} placed`)));
    witness.placed = new Set(kept);
  }

  /** What a node that comes back says that it told before: the same, and at least as much. */
  onReread(place: number, items: readonly FinalizedItem[]): void {
    const { told } = this.#of(place);
    told.forEach((hash, index) => {
      this.checks += 1;
      if (items[index]?.hash === hash && items[index].sequence === index + 1) return;
      const now = items[index]?.hash ?? "nothing";
      throw new Violation(
        "durable-before-visible",
        `node ${place} came back with ${now} at place ${index + 1}, it had told ${hash} to be final`,
      );
    });
    this.onFinal(place, items.slice(told.length));
  }

  /** The disk is gone, and with it what the node promised and in which order it accepted. */
  onDiskLost(place: number): void {
    const witness = this.#of(place);
    witness.placed.clear();
    witness.told = [];
    witness.positions.clear();
    witness.payloads.clear();
    witness.timestampMs = 0;
    for (let at = this.#promised.length - 1; at >= 0; at--) {
      if (this.#promised[at]?.by === place) this.#promised.splice(at, 1);
    }
  }

  /** What a correct node's engine calls final. */
  onDecide(place: number, decisions: readonly DagDecision[]): void {
    for (const { bundle, place: lanePlace, accepted, rejected } of decisions) {
      const known = this.knowledge.get(bundle, `node ${place} decides`);
      if (lanePlace === "accepted") this.#onPlaced(place, known);
      if (lanePlace === "rejected") this.#settle(place, { bundle, vertex: null }, "rejected");
      for (const vertex of accepted) this.#onAccepted(place, known, vertex);
      for (const vertex of rejected) this.#onRejected(place, { bundle, vertex }, lanePlace === "rejected");
    }
  }

  /** What the node told its users, in order. */
  onFinal(place: number, items: readonly FinalizedItem[]): void {
    const witness = this.#of(place);
    for (const { sequence, hash, payload, timestampMs } of items) {
      this.checks += 1;
      if (sequence !== witness.told.length + 1)
        throw new Violation(
          "prefix-consistency",
          `node ${place} told place ${sequence} of its order after ${witness.told.length}`,
        );
      if (timestampMs < witness.timestampMs)
        throw new Violation(
          "monotone-time",
          `at node ${place} time goes back by ${witness.timestampMs - timestampMs} ms at place ${sequence}`,
        );
      witness.timestampMs = timestampMs;
      if (witness.positions.has(hash)) throw new Violation("exactly-once", `node ${place} told ${hash} twice`);
      witness.positions.set(hash, sequence);
      witness.told.push(hash);
      this.#checkTold(place, witness, hash, payload);
    }
  }

  /** Why this is no end yet; null where all that was promised is kept everywhere. `isGone` says whose lane died with its place. */
  openAt(places: readonly number[], isGone: (place: number) => boolean): string | null {
    for (const place of places) {
      const { told } = this.#of(place);
      if (told.length !== this.#accepted) return `node ${place} has ${told.length} of ${this.#accepted} final vertices`;
      for (const [key, { outcome }] of this.#outcomes) {
        // A branch that lost may never have reached it.
        if (outcome === "accepted" && !this.#of(place).decided.has(key))
          return `${key} is ${outcome}, and open at node ${place}`;
      }
    }
    for (const { by, text } of this.#promised) {
      if (!isGone(by) && !this.#isKept(text)) return `a payload that node ${by} took is neither final nor lost`;
    }
    return null;
  }

  /** A payload is final, or lost to another vertex that claims one of its keys. */
  #isKept(text: string): boolean {
    const carriers = this.knowledge.carriersOf(text);
    if (carriers.some((unit) => this.outcomeOf(unit) === "accepted")) return true;
    return carriers.some((unit) => this.outcomeOf(unit) === "rejected" && this.knowledge.isContested(unit));
  }

  #onPlaced(place: number, { held }: KnownBundle): void {
    const witness = this.#of(place);
    const { digest } = held.ref;
    for (const parent of held.bundle.parents) {
      const before = this.knowledge.byTip(parent);
      if (parent === this.#genesis || before.some((one) => witness.placed.has(one))) continue;
      throw new Violation("prefix-consistency", `node ${place} places ${digest} before its parent ${parent}`);
    }
    this.#settle(place, { bundle: digest, vertex: null }, "accepted");
    witness.placed.add(digest);
  }

  #onAccepted(place: number, { held }: KnownBundle, vertex: number): void {
    const bundle = held.ref.digest;
    if (!this.#of(place).placed.has(bundle))
      throw new Violation(
        "prefix-consistency",
        `node ${place} accepts vertex ${vertex} of ${bundle} before its bundle`,
      );
    if (this.#settle(place, { bundle, vertex }, "accepted")) this.#accepted += 1;
  }

  #onRejected(place: number, unit: Unit, withItsPlace: boolean): void {
    if (!withItsPlace && !this.knowledge.isContested(unit))
      throw new Violation("validity", `node ${place} rejects ${unitKey(unit)}, which conflicts with nothing`);
    this.#settle(place, unit, "rejected");
  }

  /** Answers whether it is the first node that decides it. */
  #settle(place: number, unit: Unit, outcome: Outcome): boolean {
    this.checks += 1;
    const key = unitKey(unit);
    const agreed = this.#outcomes.get(key);
    if (agreed !== undefined && agreed.outcome !== outcome)
      throw new Violation("agreement", `${key} is ${outcome} at node ${place}, ${agreed.outcome} at node ${agreed.by}`);
    if (outcome === "accepted") {
      for (const set of this.knowledge.setsOf(unit)) {
        const winner = this.#winners.get(set);
        if (winner !== undefined && winner !== key)
          throw new Violation(
            "agreement",
            `conflict set ${set}: ${key} is final at node ${place}, ${winner} elsewhere`,
          );
        this.#winners.set(set, key);
      }
    }
    this.#of(place).decided.add(key);
    if (agreed !== undefined) return false;
    this.#outcomes.set(key, { outcome, by: place });
    return true;
  }

  #checkTold(place: number, witness: Witness, hash: Hash, payload: Uint8Array): void {
    if (!this.knowledge.byVertex(hash).some((carrier) => this.outcomeOf(carrier) === "accepted"))
      throw new Violation("validity", `node ${place} told ${hash} to be final, which no engine decided`);
    const text = clientText(payload);
    // Liars may issue what they like of their own; it begins with their mark.
    if (text.charCodeAt(0) === LIARS_MARK) return;
    if (!this.#submitted.has(text))
      throw new Violation("validity", `node ${place} finalized a payload that nobody submitted`);
    if (witness.payloads.has(text))
      throw new Violation("exactly-once", `node ${place} finalized one client's payload in two vertices`);
    witness.payloads.add(text);
  }

  #of(place: number): Witness {
    const known = this.#witnesses.get(place);
    if (known !== undefined) return known;
    const witness: Witness = {
      placed: new Set(),
      decided: new Set(),
      told: [],
      positions: new Map(),
      payloads: new Set(),
      timestampMs: 0,
    };
    this.#witnesses.set(place, witness);
    return witness;
  }
}

function clientText(vertexPayload: Uint8Array): string {
  return textOf(openEnvelope(vertexPayload)?.payload ?? vertexPayload);
}
