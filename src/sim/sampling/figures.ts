import { hypergeometric } from "../../consensus/avalanche/hypergeometric.ts";
import { type AvalancheParams, deriveParams, paramsFault } from "../../consensus/avalanche/params.ts";
import { type DisagreementBound, disagreementBound } from "../../consensus/avalanche/safety.ts";
import {
  expectedHold,
  phaseShift,
  type SamplingModel,
  splitAfter,
  splitChain,
} from "../../consensus/avalanche/snowball-chain.ts";
import { expectedPolls, unfinishedAfter } from "../../consensus/avalanche/streaks.ts";
import { faultTolerance, quorumSize } from "../../membership/quorum.ts";

export type ParamOverrides = Partial<AvalancheParams>;

/** What is computed for one network. Counts of polls are of one correct validator; infinite means never. */
export interface NetworkFigures {
  readonly nodes: number;
  readonly byzantine: number;
  readonly tolerated: number;
  readonly quorum: number;
  readonly params: AvalancheParams;
  /** Upper bound, for all that the Byzantine validators can answer. */
  readonly safety: DisagreementBound;
  readonly liveness: {
    /** That one poll succeeds where all correct ones prefer the same and the others are silent or answer no; exact. */
    readonly pollSucceeds: number;
    readonly expectedPolls: number;
    /** That sampling is not done after maxRounds of them; exact. */
    readonly unfinished: number;
  };
  readonly conflict: {
    /** The majority among the correct from which the split comes back with a chance of 1e-9 at most; null: none. */
    readonly phaseShift: number | null;
    /** Polls until all correct ones prefer the same, from an even split; in expectation, exact, the most of any way to answer. */
    readonly expectedHold: number;
    /** That they never have after maxRounds of them (SPLIT_ROUNDS_MAX at most); exact for the adversary that holds longest. */
    readonly stillSplit: number;
  };
}

/** The chance of a return that counts as none in `phaseShift`. */
const NO_RETURN = 1e-9;

/** The parameters of a network, or what is wrong with them, in words. */
export function paramsOf(nodes: number, overrides: ParamOverrides): AvalancheParams | string {
  const params = deriveParams(nodes, overrides);
  return paramsFault(nodes, params) ?? params;
}

/** All figures, with the split followed for `splitRounds`. `nodes` is 1 or more, `byzantine` 0 .. nodes - 1, and the parameters are valid for them. */
export function networkFigures(
  nodes: number,
  byzantine: number,
  params: AvalancheParams,
  splitRounds: number = Math.min(params.maxRounds, SPLIT_ROUNDS_MAX),
): NetworkFigures {
  const { sampleSize, preferenceThreshold, confidenceThreshold, beta, maxRounds } = params;
  const model: SamplingModel = { nodes, byzantine, sampleSize, preferenceThreshold, confidenceThreshold, beta };
  const correct = nodes - byzantine;
  const chances = hypergeometric(nodes);
  const pollSucceeds = chances.atLeast(correct, sampleSize, confidenceThreshold);
  const pollFails = chances.below(correct, sampleSize, confidenceThreshold);
  const chain = splitChain(model);
  return {
    nodes,
    byzantine,
    tolerated: faultTolerance(nodes),
    quorum: quorumSize(nodes),
    params,
    safety: disagreementBound(model, maxRounds),
    liveness: {
      pollSucceeds,
      expectedPolls: expectedPolls(pollSucceeds, pollFails, beta),
      unfinished: unfinishedAfter(pollSucceeds, pollFails, beta, maxRounds),
    },
    conflict: {
      phaseShift: phaseShift(chain, NO_RETURN),
      expectedHold: (expectedHold(chain)[correct] ?? 0) / correct,
      stillSplit: splitAfter(chain, correct, splitRounds * correct),
    },
  };
}

/** For more rounds than this the distribution takes seconds, and says nothing that the expectation does not. */
export const SPLIT_ROUNDS_MAX = 1_000;
