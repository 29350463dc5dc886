import type { Epoch, Sequence, ValidatorIndex } from "../membership/ids.ts";
import type { Proof } from "../membership/seal.ts";
import type { Phase, Statement } from "../membership/statement.ts";

/** A statement with its epoch and the proof that its signer made it. */
export interface HeardStatement {
  readonly epoch: Epoch;
  readonly statement: Statement;
  readonly proof: Proof;
}

/**
 * What this node heard each validator say last, with the proof: the furthest vote for a place, and the highest view that it
 * asked for, made or, in HotStuff, voted in. A validator that lost its memory is told what it said, and need not believe it without its own
 * signature. Kept in memory: what was said before this node's start is not known.
 */
export class Witnesses {
  /** Bounded: one of each kind for each validator. */
  readonly #votes = new Map<ValidatorIndex, HeardStatement>();
  readonly #views = new Map<ValidatorIndex, HeardStatement>();

  /** Takes note of a verified statement of this epoch. */
  learn(heard: HeardStatement): void {
    const { phase } = heard.statement;
    if (isVote(phase)) keepHigher(this.#votes, heard, ({ statement }) => statement.sequence);
    else if (isViewWord(phase)) {
      keepHigher(this.#views, heard, ({ statement }) => statement.view);
    }
  }

  /** The highest sequence that a validator was heard to vote for; 0 where it never was. */
  votedUpTo(validator: ValidatorIndex): Sequence {
    return (this.#votes.get(validator)?.statement.sequence ?? 0) as Sequence;
  }

  of(validator: ValidatorIndex): readonly HeardStatement[] {
    return [this.#votes.get(validator), this.#views.get(validator)].filter((heard) => heard !== undefined);
  }
}

export function isVote(phase: Phase): boolean {
  return phase === "pre-prepare" || phase === "prepare" || phase === "commit";
}

/** What is said of a view and of no place: a correct validator says nothing of the kind in a view that it left. */
export function isViewWord(phase: Phase): boolean {
  return VIEW_WORDS.includes(phase);
}

const VIEW_WORDS: readonly Phase[] = ["view-change", "new-view", "propose", "vote", "timeout"];

function keepHigher(
  kept: Map<ValidatorIndex, HeardStatement>,
  heard: HeardStatement,
  height: (heard: HeardStatement) => number,
): void {
  const { signer } = heard.proof.seal;
  const known = kept.get(signer);
  const isHigher =
    known === undefined || heard.epoch > known.epoch || (heard.epoch === known.epoch && height(heard) > height(known));
  if (isHigher) kept.set(signer, heard);
}
