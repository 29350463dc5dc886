import { HotStuffEngine, type HotStuffOptions } from "../../consensus/hotstuff/engine.ts";
import { type Ballot, type Rules, rulesOf } from "../../consensus/hotstuff/rules.ts";
import { blockHash } from "../../consensus/hotstuff/statements.ts";
import type { Hash } from "../../lib/hash.ts";
import { edited } from "../attacks.ts";
import type { RunOptions } from "../run.ts";

/** HotStuff's engine with one rule broken. */

type Planted = NonNullable<RunOptions["makeHotStuff"]>;

function withRules(options: HotStuffOptions, change: (rules: Rules) => Partial<Rules>): HotStuffEngine {
  const rules = rulesOf(options.phases ?? 3);
  return new HotStuffEngine({ ...options, rules: { ...rules, ...change(rules) } });
}

/** Its votes never reach the disk, nor what they rest on. */
export const forgettingVoteRows: Planted = (options) =>
  edited(new HotStuffEngine(options), (effect) => {
    if (effect.kind !== "persist") return [effect];
    return [{ ...effect, writes: effect.writes.filter(({ key }) => key !== "votes") }];
  });

export const counting: Planted = (options) => withRules(options, () => ({ quorum: (set) => set.quorum - 1 }));

/** Votes once in a view, whatever it is locked on, and whatever a time-out certificate names. */
export const unbound: Planted = (options) => withRules(options, () => ({ mayVote: isOnceInAView }));

/** Votes for each block of a view. */
export const approving: Planted = (options) => {
  const voted = new Set<Hash>();
  return withRules(options, (rules) => ({
    mayVote: (ballot) => {
      const hash = blockHash(ballot.block);
      if (voted.has(hash) || ballot.block.view < ballot.lastView) return false;
      if (!rules.mayVote({ ...ballot, lastView: (ballot.block.view - 1) as Ballot["lastView"] })) return false;
      voted.add(hash);
      return true;
    },
  }));
};

/** Votes once in a view, and also after it gave that up. */
export const tardy: Planted = (options) => {
  const voted = new Set<number>();
  return withRules(options, (rules) => ({
    mayVote: (ballot) => {
      const { view } = ballot.block;
      if (voted.has(view) || view < ballot.lastView) return false;
      if (!rules.mayVote({ ...ballot, lastView: (view - 1) as Ballot["lastView"] })) return false;
      voted.add(view);
      return true;
    },
  }));
};

function isOnceInAView({ block, lastView }: Ballot): boolean {
  return block.view > lastView;
}
