import type { LaneTip } from "../../dag/lanes.ts";
import { forkSetOf } from "../../dag/conflict-keys.ts";
import { present } from "../../lib/assert.ts";
import type { Hash } from "../../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../../membership/ids.ts";
import type { DagArrival, DagOpen, DagRestored } from "../dag-engine.ts";
import { BundleNode, type Parent } from "./bundle-node.ts";
import { ConflictSet, type Member } from "./conflict-set.ts";
import { OPEN_OF_CREATOR_MAX, SETTLED_BYTES_MAX, SETTLED_MAX } from "./limits.ts";
import { Orphans } from "./orphans.ts";
import { type Fate, Past, Winners } from "./past.ts";

/** What became of a bundle that came. */
export type Insertion =
  | { readonly kind: "node"; readonly node: BundleNode }
  /** A parent lost, or it contradicts what is decided: it can never be accepted. */
  | { readonly kind: "dead"; readonly arrival: DagArrival }
  | { readonly kind: "none" };

/**
 * The DAG of what is open and of what was settled lately (Avalanche, arXiv 1906.08936, §3; document 2, 4.5): bundles, their
 * parents, and the conflict sets that their places and vertices are members of.
 *
 * Invariants: a node's parents are nodes, or past and accepted; a lane's nodes above `decided` follow each other without gaps.
 */
export class DagGraph {
  readonly #genesis: Hash;
  readonly nodes: Map<Hash, BundleNode> = new Map();
  readonly sets: Map<Hash, ConflictSet> = new Map();
  readonly past: Past = new Past();
  readonly winners: Winners = new Winners();
  readonly orphans: Orphans = new Orphans();
  /** For each validator of the roster: its last bundle that took its place. */
  readonly decided: LaneTip[];
  readonly #byTip = new Map<Hash, BundleNode>();
  /** Open bundles of each lane, ascending by nonce. */
  readonly #lanes = new Map<ValidatorIndex, BundleNode[]>();
  /** The keys of `#lanes`, ascending; asked for at every step, and made anew when a lane comes or goes. */
  #creators: readonly ValidatorIndex[] | null = null;
  /** By creator, its bundles in memory that are not plain: answers walk through no lane that has none. */
  readonly #contested = new Map<ValidatorIndex, number>();
  /** In the order in which they were settled. */
  readonly #settled: BundleNode[] = [];
  /** What these weigh. */
  #settledBytes = 0;

  #count = 0;

  constructor(genesis: Hash, restored: DagRestored) {
    this.#genesis = genesis;
    this.decided = [...restored.lanes];
    for (const { tip } of restored.lanes) this.past.add(tip, "accepted");
  }

  nodeAt(tip: Hash): BundleNode | undefined {
    return this.#byTip.get(tip);
  }

  /** Whether a bundle is in memory, waits for a parent, or was settled lately. */
  knows(digest: Hash): boolean {
    return this.nodes.has(digest) || this.orphans.has(digest) || this.past.get(digest) !== undefined;
  }

  /** Open bundles of a lane, ascending by nonce; of a forked lane, of all branches. */
  openOf(creator: ValidatorIndex): readonly BundleNode[] {
    return this.#lanes.get(creator) ?? NONE;
  }

  /** Creators with something open, ascending. */
  creators(): readonly ValidatorIndex[] {
    this.#creators ??= [...this.#lanes.keys()].sort((left, right) => left - right);
    return this.#creators;
  }

  *open(): Generator<BundleNode> {
    for (const creator of this.creators()) yield* this.openOf(creator);
  }

  setOf(id: Hash): ConflictSet {
    let set = this.sets.get(id);
    if (set === undefined) {
      set = new ConflictSet(id);
      this.sets.set(id, set);
    }
    return set;
  }

  /** Takes a bundle in, or lets it wait for its parents. `support` is how many validators have voted for it already. */
  insert(arrival: DagArrival, nowMs: number, support = 0): Insertion {
    const { ref, bundle } = arrival.held;
    if (this.nodes.has(ref.digest) || this.orphans.has(ref.digest)) return { kind: "none" };
    if (arrival.settled !== null) {
      this.#remember(ref.digest, ref.tip, arrival.settled);
      return { kind: "none" };
    }
    if (this.past.get(ref.digest) !== undefined) return { kind: "none" };
    const previous = this.#parent(ref.previous);
    const second = this.#parent(bundle.parents[1] ?? this.#genesis);
    if (previous === "dead" || second === "dead" || !this.#follows(arrival, previous)) return { kind: "dead", arrival };
    if (previous === null || second === null) {
      const missing = previous === null ? ref.previous : (bundle.parents[1] ?? this.#genesis);
      this.orphans.add(missing, arrival, nowMs, this.winners.added);
      return { kind: "none" };
    }
    const lane = this.#lanes.get(ref.creator) ?? [];
    if (lane.length >= OPEN_OF_CREATOR_MAX && !this.#makeRoom(lane, support)) return { kind: "none" };
    const node = new BundleNode(arrival.held, {
      previous,
      second,
      forkSet: forkSetOf(ref),
      nowMs,
      order: this.#count++,
      onContested: this.#onContested,
    });
    this.#add(node, lane);
    return { kind: "node", node };
  }

  /**
   * A liar may fill its lane here with forks that nobody else has, and have the others certify one more. The branch with the
   * fewest votes gives way to a bundle with more; it comes again if anybody votes for it.
   */
  #makeRoom(lane: readonly BundleNode[], support: number): boolean {
    let least: BundleNode | null = null;
    for (const node of lane) if (this.#isExpendable(node) && node.support < (least?.support ?? support)) least = node;
    if (least === null) return false;
    // Polls that are under way may still name it: they pass over what is settled.
    least.place = "rejected";
    this.#leaveLane(least);
    this.#unlink(least);
    return true;
  }

  /** A leaf of a fork that this node neither prefers nor voted for. */
  #isExpendable(node: BundleNode): boolean {
    const set = this.sets.get(node.forkSet);
    if (node.children.length > 0 || node.ownAccept !== null || node.isCertified || node.reported.size > 0) return false;
    if (node.carried.length > 0) return false;
    return set !== undefined && set.isContested && !set.prefers({ node, vertex: null });
  }

  /** A bundle that was open before a restart or an epoch's end; its parents are here or of the past. */
  restore({ held, place, accepted, rejected }: DagOpen, nowMs: number): BundleNode {
    const { ref, bundle } = held;
    const previous = this.#byTip.get(ref.previous) ?? "past";
    const second = this.#byTip.get(bundle.parents[1] ?? this.#genesis) ?? "past";
    const node = new BundleNode(held, {
      previous,
      second,
      forkSet: forkSetOf(ref),
      nowMs,
      order: this.#count++,
      onContested: this.#onContested,
    });
    node.place = place;
    for (const vertex of accepted) node.accepted.add(vertex);
    for (const vertex of rejected) node.reject(vertex);
    if (!node.isSettled) {
      this.#add(node, this.#lanes.get(ref.creator) ?? []);
      return node;
    }
    this.#link(node);
    node.settledAtMs = nowMs;
    this.#settled.push(node);
    this.#settledBytes += node.weight;
    return node;
  }

  /** Accepted bundles of which nothing is open and that are still in memory, in the order in which they came. */
  settled(): readonly BundleNode[] {
    return this.#settled.filter(({ place }) => place === "accepted").sort((left, right) => left.order - right.order);
  }

  #link(node: BundleNode): void {
    this.nodes.set(node.digest, node);
    this.#byTip.set(node.tip, node);
    if (node.previous !== "past") node.previous.children.push(node);
    if (node.second !== "past" && node.second !== node.previous) node.second.children.push(node);
  }

  #add(node: BundleNode, lane: BundleNode[]): void {
    this.#link(node);
    const last = lane.at(-1);
    lane.push(node);
    // A lane without forks comes in order.
    if (last !== undefined && last.firstNonce >= node.firstNonce)
      lane.sort((left, right) => left.firstNonce - right.firstNonce || (left.digest < right.digest ? -1 : 1));
    if (last !== undefined) return;
    this.#lanes.set(node.creator, lane);
    this.#creators = null;
  }

  /** A bundle's place is decided: its lane has got that far. */
  onPlaceAccepted(node: BundleNode): void {
    const { creator, firstNonce, count, tip } = node.held.ref;
    this.decided[creator] = { nonce: (firstNonce + count - 1) as Nonce, tip };
  }

  /** Nothing of it is open any more: it leaves the lane, stays in memory for a while, and is let go of. Answers who is to be. */
  settle(node: BundleNode): readonly BundleNode[] {
    this.#leaveLane(node);
    this.#settled.push(node);
    this.#settledBytes += node.weight;
    let count = 0;
    // The newest stays, however large: its children come next.
    while (
      this.#settled.length - count > 1 &&
      (this.#settled.length - count > SETTLED_MAX || this.#settledBytes > SETTLED_BYTES_MAX)
    ) {
      this.#settledBytes -= this.#settled[count]?.weight ?? 0;
      count++;
    }
    return count === 0 ? NONE : this.#settled.splice(0, count);
  }

  #leaveLane(node: BundleNode): void {
    const lane = this.#lanes.get(node.creator);
    const at = lane?.indexOf(node) ?? -1;
    if (lane === undefined || at < 0) return;
    lane.splice(at, 1);
    if (lane.length > 0) return;
    this.#lanes.delete(node.creator);
    this.#creators = null;
  }

  /** Lets go of a settled bundle; its name, its last vertex and the sets that it won stay for a while longer. */
  forget(node: BundleNode): void {
    this.#remember(node.digest, node.tip, node.place === "accepted" ? "accepted" : "rejected");
    this.#unlink(node);
  }

  /** Whether no bundle of this creator in memory has a vertex that is, or was, contested. */
  isPlainLane(creator: ValidatorIndex): boolean {
    return (this.#contested.get(creator) ?? 0) === 0;
  }

  /** One for all nodes: there are thousands. */
  readonly #onContested = (creator: ValidatorIndex): void => {
    this.#contested.set(creator, (this.#contested.get(creator) ?? 0) + 1);
  };

  #unlink(node: BundleNode): void {
    if (!node.isPlain) this.#contested.set(node.creator, (this.#contested.get(node.creator) ?? 1) - 1);
    this.nodes.delete(node.digest);
    this.#byTip.delete(node.tip);
    this.#leave({ node, vertex: null });
    for (const vertex of node.sets.keys()) this.#leave({ node, vertex });
    for (const parent of [node.previous, node.second]) {
      if (parent === "past") continue;
      const at = parent.children.indexOf(node);
      if (at >= 0) parent.children.splice(at, 1);
    }
    // A child that kept its parent would keep the whole history.
    for (const child of node.children) {
      if (child.previous === node) child.previous = "past";
      if (child.second === node) child.second = "past";
    }
  }

  /** Up to which nonce a lane is settled without a gap. */
  settledNonce(creator: ValidatorIndex): Nonce {
    const first = this.openOf(creator)[0];
    const decided = present(this.decided[creator], `lane ${creator}`).nonce;
    return (first === undefined ? decided : Math.min(decided, first.firstNonce - 1)) as Nonce;
  }

  /** The sets of a member, made where they are not there yet. */
  setsOf({ node, vertex }: Member): readonly ConflictSet[] {
    return node.setsOf(vertex).map((id) => this.setOf(id));
  }

  /** Null where it is not here; "dead" where it lost. */
  #parent(tip: Hash): Parent | "dead" | null {
    if (tip === this.#genesis) return "past";
    const node = this.#byTip.get(tip);
    if (node !== undefined) return node.place === "rejected" ? "dead" : node;
    const fate = this.past.get(tip);
    return fate === undefined ? null : fate === "accepted" ? "past" : "dead";
  }

  /**
   * Whether a bundle goes on behind what it follows; what follows an older vertex is a fork that lost. Nonces may leave a
   * gap: that of a bundle which died with its second parent, and whose payloads were issued again.
   */
  #follows({ held: { ref } }: DagArrival, previous: Parent | null): boolean {
    const decided = present(this.decided[ref.creator], `lane ${ref.creator}`);
    if (previous === null) return ref.firstNonce > decided.nonce;
    if (previous === "past") return ref.previous === decided.tip && ref.firstNonce > decided.nonce;
    const { creator, firstNonce, count } = previous.held.ref;
    return creator === ref.creator && firstNonce + count <= ref.firstNonce;
  }

  #remember(digest: Hash, tip: Hash, fate: Fate): void {
    this.past.add(digest, fate);
    this.past.add(tip, fate);
  }

  #leave(member: Member): void {
    for (const id of member.node.setsOf(member.vertex)) {
      const set = this.sets.get(id);
      if (set === undefined) continue;
      if (set.winner !== null) this.winners.add(id, set.winner);
      set.remove(member);
      if (set.members.length === 0 && (set.givenTo === null || set.winner !== null)) this.sets.delete(id);
    }
  }
}

const NONE: readonly BundleNode[] = [];
