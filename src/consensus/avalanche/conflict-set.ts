import { isSameUnit, type Unit } from "../../dag/unit.ts";
import { type Hash, compareHashes } from "../../lib/hash.ts";
import type { BundleNode } from "./bundle-node.ts";

/** One thing that is decided, in memory. */
export interface Member {
  readonly node: BundleNode;
  /** Null: the bundle's place in its lane. */
  readonly vertex: number | null;
}

/** What two copies of one set are compared by: the vertex's own id, or the bundle's digest. */
export function idOf({ node, vertex }: Member): Hash {
  return vertex === null ? node.digest : (node.held.vertexIds[vertex] ?? node.digest);
}

export function sameMember(left: Member | null, right: Member | null): boolean {
  return left !== null && right !== null && left.node === right.node && left.vertex === right.vertex;
}

/**
 * All that claim one key, of which at most one is ever accepted. The first preference is the lowest id among those seen
 * (correction 5), until polls speak.
 *
 * Invariant: `lock` never changes within an epoch but to the winner.
 */
export class ConflictSet {
  readonly id: Hash;
  readonly members: Member[] = [];
  preferred: Member | null = null;
  /** What this node accepted in this epoch. */
  lock: Member | null = null;
  /** What a quorum accepted in this epoch or, as far as this node was told, in an earlier one; the newest. */
  certified: Member | null = null;
  /** In which epoch. */
  certifiedIn = -1;
  /** This node reported the conflict to the log: no binding vote on any member until the log decides. */
  isFrozen = false;
  /** The log has decided for one member, or against one; it stays frozen until that member is final. */
  isResolved = false;
  /** Whom the log gave this set to, in memory or not: all others have lost, also should that one die with its bundle. */
  givenTo: Unit | null = null;
  winner: Hash | null = null;

  constructor(id: Hash) {
    this.id = id;
  }

  get isContested(): boolean {
    return this.members.length > 1;
  }

  add(member: Member): void {
    const at = this.#placeFor(idOf(member));
    this.members.splice(at, 0, member);
    if (this.preferred === null) this.preferred = member;
    else if (at === 0 && this.#isUndecided()) this.preferred = member;
  }

  remove(member: Member): void {
    const at = this.members.findIndex((other) => sameMember(other, member));
    if (at >= 0) this.members.splice(at, 1);
    if (sameMember(this.lock, member)) this.lock = null;
    if (sameMember(this.certified, member)) {
      this.certified = null;
      this.certifiedIn = -1;
    }
    if (sameMember(this.preferred, member)) this.preferred = this.pinned ?? this.#best();
  }

  /** What the preference may not leave any more: a certificate counts for more than this node's own vote. */
  get pinned(): Member | null {
    return this.certified ?? this.lock;
  }

  /** Whether this member may get this node's vote as far as other members are concerned. */
  isFreeFor(member: Member): boolean {
    const isFree = (held: Member | null): boolean => held === null || sameMember(held, member);
    return this.winner === null && !this.isFrozen && isFree(this.lock) && isFree(this.certified);
  }

  /** Whether the log gave this set to somebody else. */
  isLostTo({ node, vertex }: Member): boolean {
    return this.givenTo !== null && !isSameUnit(this.givenTo, { bundle: node.digest, vertex });
  }

  prefers(member: Member): boolean {
    return sameMember(this.preferred, member);
  }

  /** Clients may fill a set with double spends: no step may cost as much as the set is large, times its members. */
  #placeFor(id: Hash): number {
    let low = 0;
    let high = this.members.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const member = this.members[middle];
      if (member !== undefined && compareHashes(idOf(member), id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether no poll about any member has reached a threshold yet. */
  #isUndecided(): boolean {
    if (this.pinned !== null || this.winner !== null) return false;
    return this.members.every(({ node, vertex }) => node.snowOf(vertex).successes === 0);
  }

  #best(): Member | null {
    let best: Member | null = null;
    for (const member of this.members) {
      if (best === null || successesOf(member) > successesOf(best)) best = member;
    }
    return best;
  }
}

function successesOf({ node, vertex }: Member): number {
  return node.snowOf(vertex).successes;
}
