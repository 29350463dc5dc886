import { assert, present } from "../lib/assert.ts";
import { compareHashes, type Hash } from "../lib/hash.ts";
import type { Nonce, ValidatorIndex } from "../membership/ids.ts";
import type { NetworkContext, ValidatorSet } from "../membership/validator-set.ts";
import type { BundleRef } from "./bundle.ts";

/** Up to where one creator's lane is executed. */
export interface LaneTip {
  readonly nonce: Nonce;
  readonly tip: Hash;
}

/** The most bundles of one creator that may wait; at 1,024 vertices each far above any `max_pending_vertices`. */
export const LANE_WAITING_MAX = 4096;

interface Lane {
  executed: LaneTip;
  /** Held bundles not yet executed, by the vertex that they follow. More than one under a key is a creator's fork. */
  readonly children: Map<Hash, BundleRef[]>;
  count: number;
  waitingSinceMs: number | null;
}

/**
 * The bundles that are held and wait to be ordered, one lane a creator. The rule of execution is that of a lane: a bundle
 * executes only directly after the vertex that it names as its first parent. So "exactly once" needs one tip a lane
 * instead of every hash of history, and a fork of one creator has one winner, the branch that is ordered first.
 */
export class Lanes {
  readonly #lanes: Lane[];
  #set: ValidatorSet;
  readonly #held = new Map<Hash, BundleRef>();

  constructor(network: NetworkContext, executed: readonly LaneTip[]) {
    assert(executed.length === network.set.roster.length, "one executed tip for each validator");
    this.#set = network.set;
    this.#lanes = executed.map((tip) => ({ executed: tip, children: new Map(), count: 0, waitingSinceMs: null }));
  }

  /**
   * Another validator set takes over: new validators have lanes from now on, and what those wait with who left is let go
   * (nothing of it can execute any more, unless they come back and send it again).
   */
  onEpoch({ genesis, set }: NetworkContext): void {
    const before = this.#set;
    this.#set = set;
    while (this.#lanes.length < set.roster.length) {
      const executed: LaneTip = { nonce: 0 as Nonce, tip: genesis };
      this.#lanes.push({ executed, children: new Map(), count: 0, waitingSinceMs: null });
    }
    // Also what is executed already: a proposal that names it must be as unacceptable to who held it as to who did not.
    for (const [digest, { creator, term }] of this.#held) {
      if (!set.has(creator) || term !== set.termOf(creator)) this.#held.delete(digest);
    }
    this.#lanes.forEach((lane, creator) => {
      const index = creator as ValidatorIndex;
      if (set.has(creator) && (!before.has(creator) || set.termOf(index) === before.termOf(index))) return;
      lane.children.clear();
      lane.count = 0;
      lane.waitingSinceMs = null;
    });
  }

  /** Whether the body of this bundle is held. */
  has(digest: Hash): boolean {
    return this.#held.has(digest);
  }

  get(digest: Hash): BundleRef | undefined {
    return this.#held.get(digest);
  }

  executed(creator: ValidatorIndex): LaneTip {
    return this.#lane(creator).executed;
  }

  executedTips(): readonly LaneTip[] {
    return this.#lanes.map((lane) => lane.executed);
  }

  /**
   * Takes note of a held bundle. One that is executed already is remembered as held only (a later proposal may name
   * it again). Answers false when the lane is full: the bundle can be fetched again when a proposal names it, and is then
   * `named`: what must be held to vote is taken although the lane is full, or a creator could stop its replicas with forks.
   */
  add(ref: BundleRef, nowMs: number, named = false): boolean {
    if (this.#held.has(ref.digest)) return true;
    // Nothing of who is no validator, or of a term that is over, can execute: held, it would wait for ever.
    if (!this.#set.has(ref.creator) || ref.term !== this.#set.termOf(ref.creator)) return false;
    const lane = this.#lane(ref.creator);
    if (ref.firstNonce <= lane.executed.nonce) {
      this.#held.set(ref.digest, ref);
      return true;
    }
    if (lane.count >= LANE_WAITING_MAX && !named) return false;
    this.#held.set(ref.digest, ref);
    const siblings = lane.children.get(ref.previous) ?? [];
    siblings.push(ref);
    siblings.sort((left, right) => compareHashes(left.digest, right.digest));
    lane.children.set(ref.previous, siblings);
    lane.count += 1;
    if (lane.waitingSinceMs === null && this.#isNext(lane, ref)) lane.waitingSinceMs = nowMs;
    return true;
  }

  /** The bundle that may execute next in a lane after `tip`, where it is held; of a fork, the lowest digest. */
  next(creator: ValidatorIndex, tip: LaneTip): BundleRef | undefined {
    return this.#lane(creator)
      .children.get(tip.tip)
      ?.find((ref) => ref.firstNonce === tip.nonce + 1);
  }

  /** Moves a lane's executed tip, and forgets what can no longer execute (executed bundles and losing forks). */
  onExecuted(creator: ValidatorIndex, tip: LaneTip, nowMs: number): void {
    const lane = this.#lane(creator);
    if (tip.nonce === lane.executed.nonce) return;
    assert(tip.nonce > lane.executed.nonce, "a lane never moves back");
    lane.executed = tip;
    for (const [previous, siblings] of lane.children) {
      const left = siblings.filter((ref) => ref.firstNonce > tip.nonce);
      lane.count -= siblings.length - left.length;
      if (left.length === 0) lane.children.delete(previous);
      else lane.children.set(previous, left);
    }
    lane.waitingSinceMs = this.next(creator, tip) === undefined ? null : nowMs;
  }

  /** Lets go of held bundles whose turn is over (executed, or the losing branch of a fork), except those that are named. */
  forgetExecuted(named: ReadonlySet<Hash>): void {
    for (const [digest, ref] of this.#held) {
      if (ref.firstNonce <= this.#lane(ref.creator).executed.nonce && !named.has(digest)) this.#held.delete(digest);
    }
  }

  /** When the lane that has waited longest last moved; null when nothing executable waits. Time in `nowMs`'s clock. */
  waitingSinceMs(): number | null {
    let oldest: number | null = null;
    for (const { waitingSinceMs } of this.#lanes) {
      if (waitingSinceMs !== null && (oldest === null || waitingSinceMs < oldest)) oldest = waitingSinceMs;
    }
    return oldest;
  }

  /** Since when a lane's next bundle has waited; null where it has none. */
  waitingSinceMsOf(creator: ValidatorIndex): number | null {
    return this.#lane(creator).waitingSinceMs;
  }

  #isNext(lane: Lane, ref: BundleRef): boolean {
    return ref.previous === lane.executed.tip && ref.firstNonce === lane.executed.nonce + 1;
  }

  #lane(creator: ValidatorIndex): Lane {
    return present(this.#lanes[creator], `lane ${creator}`);
  }
}
