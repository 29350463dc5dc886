import { leadersOf } from "../../src/consensus/hotstuff/leaders.ts";
import { type Ballot, type Rules, rulesOf } from "../../src/consensus/hotstuff/rules.ts";
import { blockHash } from "../../src/consensus/hotstuff/statements.ts";
import type { Hash } from "../../src/lib/hash.ts";
import type { AttackName } from "./attacks.ts";
import type { Variant } from "./hotstuff-cluster.ts";

/** A wrong engine, and the liars that show what is wrong with it. */
export interface Planted {
  readonly variant: Variant;
  readonly attacks?: readonly AttackName[];
  readonly liars: number;
}

const three = rulesOf(3);
const two = rulesOf(2);

/** As `mayVote` of three phases, without the lock. */
const onceInAView = ({ block, lastView }: Ballot): boolean => block.view > lastView;

/** As `mayVote` of three phases, for every block of a view. */
function forEveryBlock(): Rules {
  const voted = new Set<Hash>();
  return {
    ...three,
    mayVote: ({ block, lastView, lock, extendsLock }) => {
      const hash = blockHash(block);
      if (block.view < lastView || voted.has(hash) || !(extendsLock || block.justify.view > lock.view)) return false;
      voted.add(hash);
      return true;
    },
  };
}

const ELECTED = { phases: 3, voteRoute: "leader", leaders: "reputation" } as const;

export const PLANTED: Readonly<Record<string, Planted>> = {
  "no lock": {
    variant: { phases: 3, voteRoute: "leader", makeRules: () => ({ ...three, mayVote: onceInAView }) },
    attacks: ["stale-leader", "partial-leader", "vote-for-everything"],
    liars: 1,
  },
  "two votes in a view": {
    variant: { phases: 3, voteRoute: "leader", makeRules: forEveryBlock },
    attacks: ["equivocate", "vote-for-everything"],
    liars: 1,
  },
  "a chain of two commits under the rules of three": {
    variant: { phases: 2, voteRoute: "leader", makeRules: () => ({ ...three, phases: 2 }) },
    attacks: ["stale-leader", "partial-leader", "vote-for-everything"],
    liars: 1,
  },
  "two phases without a look at the time-out certificate": {
    variant: { phases: 2, voteRoute: "leader", makeRules: () => ({ ...two, mayVote: onceInAView }) },
    attacks: ["stale-leader", "partial-leader", "vote-for-everything"],
    liars: 1,
  },
  "a certificate of q - 1 votes": {
    variant: { phases: 3, voteRoute: "leader", makeRules: () => ({ ...three, quorum: (set) => set.quorum - 1 }) },
    attacks: ["equivocate", "vote-for-everything"],
    liars: 1,
  },
  "a certificate that is believed whoever and however few signed it": {
    variant: { phases: 3, voteRoute: "leader", isCredulous: true },
    attacks: ["equivocate", "thin-certificate"],
    liars: 1,
  },
  "who leads by the round is voted for though nobody gave the view before up": {
    variant: { ...ELECTED, leaderRules: { ...leadersOf("reputation"), wantsTimeouts: false } },
    attacks: ["usurp"],
    liars: 1,
  },
  "a block's record of leaders that nobody looks at": {
    variant: { ...ELECTED, leaderRules: { ...leadersOf("reputation"), isRecordRight: () => true } },
    attacks: ["false-record"],
    liars: 1,
  },
  "an elected leader whose failure is forgotten": {
    variant: {
      ...ELECTED,
      leaderRules: { ...leadersOf("reputation"), absencesOf: () => [], isRecordRight: () => true },
    },
    liars: 0,
  },
  "the last voted view is forgotten in a crash": {
    variant: { phases: 3, voteRoute: "leader", forgets: "votes" },
    liars: 0,
  },
};
