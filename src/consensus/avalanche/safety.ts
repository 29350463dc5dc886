import { type Hypergeometric, hypergeometric } from "./hypergeometric.ts";
import { expectedHold, returnChance, type SamplingModel, type SplitChain, splitChain } from "./snowball-chain.ts";

export interface DisagreementBound {
  /** Upper bound of P(sampling alone makes two correct validators decide differently), 0 .. 1. */
  readonly probability: number;
  /** Of the correct validators, the size of one part from which the bound takes the network to be past return. */
  readonly pointOfNoReturn: number;
  /** What the bound adds up: somebody decides before that point; the split comes back; the smaller part decides after it. */
  readonly decidedEarly: number;
  readonly returned: number;
  readonly decidedAgainst: number;
}

/**
 * An upper bound for every adversary of `SamplingModel`, within `rounds` polls of each correct validator. Not the probability itself:
 * for weak parameters it is far above what happens.
 *
 * For any size s: either somebody decides before one part has s members, and then each poll of its streak saw at most
 * s - 1 + F supporters (the expected polls until then, times that chance to the power of beta, for two colours); or the majority is lost
 * again from s; or nothing of that, and the smaller part decides nevertheless, against a majority. The best s is taken. Nothing is lost by a part that has
 * decided and moves no more: before the first decision there is none, and after it such validators pull one way only.
 */
export function disagreementBound(model: SamplingModel, rounds: number): DisagreementBound {
  const chain = splitChain(model);
  const { correct } = chain;
  const figures = { hold: expectedHold(chain), back: returnChance(chain), chances: hypergeometric(model.nodes) };
  const polls = rounds * correct;
  let best: DisagreementBound = certain(correct);
  for (let size = Math.floor(correct / 2) + 1; size <= correct; size++) {
    const found = boundAt(model, chain, figures, size, polls);
    if (found.probability < best.probability) best = found;
  }
  return best;
}

interface Figures {
  readonly hold: Float64Array;
  readonly back: Float64Array;
  readonly chances: Hypergeometric;
}

function boundAt(
  model: SamplingModel,
  { correct, down }: SplitChain,
  { hold, back, chances }: Figures,
  size: number,
  polls: number,
): DisagreementBound {
  const streak = (supporters: number): number =>
    chances.atLeast(Math.min(model.nodes, supporters + model.byzantine), model.sampleSize, model.confidenceThreshold) **
    model.beta;
  const early = streak(size - 1);
  const decidedEarly = early === 0 ? 0 : 2 * Math.min(polls, hold[size] ?? polls) * early;
  // Even agreement of all correct ones is left where a sample may hold enough Byzantine ones: once a poll, at most.
  const unanimous = size === correct ? (down[correct] ?? 0) : (down[correct] ?? 0) * (back[correct - 1] ?? 0);
  const returned = (back[size] ?? 0) + polls * unanimous;
  const against = streak(correct - Math.floor(correct / 2) - 1);
  const decidedAgainst = size >= correct && unanimous === 0 ? 0 : polls * against;
  const probability = Math.min(1, decidedEarly + returned + decidedAgainst);
  return { probability, pointOfNoReturn: size, decidedEarly, returned, decidedAgainst };
}

function certain(size: number): DisagreementBound {
  return { probability: 1, pointOfNoReturn: size, decidedEarly: 1, returned: 1, decidedAgainst: 1 };
}
