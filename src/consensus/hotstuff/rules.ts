import type { View } from "../../membership/ids.ts";
import type { ValidatorSet } from "../../membership/validator-set.ts";
import type { Block, QcRef, Tc } from "./messages.ts";
import { highOf } from "./statements.ts";

/** How many consecutive certified blocks commit the first of them. The same on all replicas of a network. */
export type Phases = 2 | 3;

export interface Ballot {
  readonly block: Block;
  readonly tc: Tc | null;
  /** The highest view in which this replica voted or that it gave up. Durable. */
  readonly lastView: View;
  /** Durable. */
  readonly lock: QcRef;
  /** Whether the block's chain goes through the locked block. */
  readonly extendsLock: boolean;
}

/** All that safety rests on, in one place. */
export interface Rules {
  readonly phases: Phases;
  quorum(set: ValidatorSet): number;
  mayVote(ballot: Ballot): boolean;
  /** Whether a block lies directly above its parent: only such blocks make a chain that commits (correction 7). */
  isDirect(view: View, parent: View): boolean;
}

/** Algorithm 4, safeNode: once in a view, and what extends the lock or shows a certificate above it. */
const THREE_PHASES: Rules = {
  phases: 3,
  quorum: (set) => set.quorum,
  mayVote: ({ block, lastView, lock, extendsLock }) =>
    block.view > lastView && (extendsLock || block.justify.view > lock.view),
  isDirect: (view, parent) => view === parent + 1,
};

/**
 * Jolteon, figure 2: without a lock. A block of the view after its certificate's, or of the view after a time-out
 * certificate's with no lower certificate than any of the quorum that gave up knew: one of them voted for whatever committed.
 */
const TWO_PHASES: Rules = {
  ...THREE_PHASES,
  phases: 2,
  mayVote: ({ block, tc, lastView }) => {
    if (block.view <= lastView) return false;
    if (block.view === block.justify.view + 1) return true;
    return tc !== null && tc.view + 1 === block.view && block.justify.view >= highOf(tc).view;
  },
};

export function rulesOf(phases: Phases): Rules {
  return phases === 2 ? TWO_PHASES : THREE_PHASES;
}
