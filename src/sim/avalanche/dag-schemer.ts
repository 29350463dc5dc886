import { type Unit, unitKey } from "../../dag/unit.ts";
import type { Hash } from "../../lib/hash.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import type { DagCluster } from "./dag-cluster.ts";
import type { DagFacts } from "./dag-facts.ts";
import type { DagMember } from "./dag-member.ts";

/** What all liars of a run know together: everybody's engines from inside. */
export class DagSchemer {
  readonly #cluster: DagCluster;
  readonly #facts: DagFacts;
  /** The one whom `tip` helps alone. */
  readonly target: ValidatorIndex;
  readonly #leads = new Map<Hash, { readonly atMs: number; readonly lead: number }>();

  constructor(cluster: DagCluster, facts: DagFacts, target: ValidatorIndex) {
    this.#cluster = cluster;
    this.#facts = facts;
    this.target = target;
  }

  get facts(): DagFacts {
    return this.#facts;
  }

  /** A set's members, in an order that all liars share. */
  rivals(set: Hash): readonly Unit[] {
    return [...this.#facts.membersOf(set)].sort((left, right) => (unitKey(left) < unitKey(right) ? -1 : 1));
  }

  isContested(set: Hash): boolean {
    return this.#facts.membersOf(set).length > 1;
  }

  /**
   * What keeps the network split (arXiv 2409.02217): while it is even, everybody hears that its own choice is popular, and
   * stays; where one side is ahead, everybody hears of the other one.
   */
  splitting(set: Hash, asker: ValidatorIndex): Unit | null {
    const [first, second] = this.rivals(set);
    if (first === undefined || second === undefined) return first ?? null;
    // Of three and more only the first two matter: what nobody prefers stays so.
    const ahead = this.#lead(set, first, second);
    if (Math.abs(ahead) > 1) return ahead > 0 ? second : first;
    return prefers(this.#cluster.member(asker), set, second) ? second : first;
  }

  /** Whom a liar votes for where one member looks: the halves see different ones. */
  halved(set: Hash, to: ValidatorIndex): Unit | null {
    const rivals = this.rivals(set);
    return rivals[(to + set.charCodeAt(0)) % Math.max(1, Math.min(2, rivals.length))] ?? null;
  }

  /** The target sees the first one, all others the second. */
  tipped(set: Hash, to: ValidatorIndex): Unit | null {
    const [first, second] = this.rivals(set);
    return (to === this.target ? first : (second ?? first)) ?? null;
  }

  /** Whether the liars' choice is this unit in all its contested sets. */
  isChosen(unit: Unit, choose: (set: Hash) => Unit | null): boolean {
    return this.#facts.setsOf(unit).every((set) => {
      if (!this.isContested(set)) return true;
      const chosen = choose(set);
      return chosen !== null && unitKey(chosen) === unitKey(unit);
    });
  }

  /** Whether a bundle and the open part of its lane are what the liars choose. */
  isStrong(bundle: Hash, choose: (set: Hash) => Unit | null): boolean {
    let held = this.#facts.get(bundle);
    for (let steps = 0; held !== undefined && steps < LOOK_BACK_MAX; steps++) {
      if (!this.isChosen({ bundle: held.ref.digest, vertex: null }, choose)) return false;
      held = this.#facts.byTip(held.ref.previous);
    }
    return true;
  }

  /** By how many correct members the first is ahead of the second. */
  #lead(set: Hash, first: Unit, second: Unit): number {
    const { nowMs } = this.#cluster;
    const known = this.#leads.get(set);
    if (known !== undefined && nowMs - known.atMs < LOOK_MS) return known.lead;
    let lead = 0;
    for (const member of this.#cluster.correct) {
      if (!member.isDown) lead += Number(prefers(member, set, first)) - Number(prefers(member, set, second));
    }
    this.#leads.set(set, { atMs: nowMs, lead });
    return lead;
  }
}

/** What the liars know of preferences is no older, in virtual milliseconds. */
const LOOK_MS = 1;

/** How far down a lane a liar looks. */
const LOOK_BACK_MAX = 64;

function prefers({ inside }: DagMember, set: Hash, { bundle, vertex }: Unit): boolean {
  const preferred = inside.graph.sets.get(set)?.preferred ?? null;
  return preferred !== null && preferred.node.digest === bundle && preferred.vertex === vertex;
}
