import { assert } from "../../lib/assert.ts";
import { quorumSize } from "../../membership/quorum.ts";

/** What Snowball samples, when a poll counts, and when this node stops waiting for it (document 2, section 3.2). */
export interface AvalancheParams {
  /** k: how many validators a poll asks, 1 .. n. Where it is n, this node is one of them. */
  readonly sampleSize: number;
  /** As many answers of one poll move the preference; more than k/2, so that no poll moves it two ways. */
  readonly preferenceThreshold: number;
  /** alpha: as many answers make the poll a success that counts towards beta; preferenceThreshold .. k. */
  readonly confidenceThreshold: number;
  /** So many successes in a row, and sampling has decided. The paper's beta2. */
  readonly beta: number;
  /**
   * As many suffice where nobody is known to contest: the paper's beta1, "safe early commitment" (arXiv 1906.08936, `isAccepted`).
   * At most beta. A certificate makes final what got the votes (decision 0006); these polls are the time in which a rival
   * that is on its way is noticed before this node binds itself.
   */
  readonly earlyBeta: number;
  /** The moving average of confidence that must be reached too, in parts per million. */
  readonly finalizationPpm: number;
  /** Polls of one conflict set, after which sampling gives up on it. */
  readonly maxRounds: number;
  /** With fewer validators the node refuses to start. */
  readonly minNetworkSize: number;
  /** Polls of this node that wait for answers at a time. */
  readonly concurrentPolls: number;
  /** An answer that takes longer is none, in milliseconds. */
  readonly queryTimeoutMs: number;
  /** What is undecided for so long gets this node's binding vote for its preference of the moment, in milliseconds. */
  readonly patienceMs: number;
  /** What is open for so long is reported to the ordered log, which decides it, in milliseconds; more than patienceMs. */
  readonly resolveAfterMs: number;
}

/** Up to here every validator is asked, and a poll succeeds by the quorum of agreement (correction 17). */
const WHOLE_NETWORK_BELOW = 20;
const MEDIUM_NETWORK_MAX = 100;
const MEDIUM_SAMPLE = 30;
const LARGE_SAMPLE = 40;

/** Above so many validators twice as many polls run at a time. */
const FEW_POLLS_MAX = 50;
const FEW_POLLS = 4;
const MANY_POLLS = 8;

/** Document 2's "quick finality". With several polls at a time it is two round trips: what was sent at the same moment is here. */
const EARLY_BETA = 5;

/** What does not depend on the size of the network. `min_network_size` is 1 as for every engine; document 2's 100 would refuse its own tests. */
const FIXED: Omit<
  AvalancheParams,
  "sampleSize" | "preferenceThreshold" | "confidenceThreshold" | "concurrentPolls" | "earlyBeta"
> = {
  beta: 20,
  finalizationPpm: 950_000,
  maxRounds: 1_000,
  minNetworkSize: 1,
  queryTimeoutMs: 1_000,
  patienceMs: 2_000,
  resolveAfterMs: 6_000,
};

/**
 * The parameters of a network of so many validators, 1 or more: below 20 all are asked and both thresholds are the quorum of
 * agreement; up to 100, k = 30; above, k = 40; alpha is four fifths of k, rounded up. What is overridden moves what
 * follows from it: the thresholds follow k, earlyBeta is never above beta. The result is not checked: `paramsFault` does that.
 *
 * Polls at a time: 4, above 50 validators 8. A poll takes two turns, so beta of them in a row take 2 beta / polls turns, and
 * a turn takes n milliseconds (node/outbox.ts): at 100 validators each further poll at a time saves what it costs many times.
 */
export function deriveParams(nodes: number, overrides: Partial<AvalancheParams> = {}): AvalancheParams {
  assert(Number.isInteger(nodes) && nodes >= 1, `a validator count of 1 or more: ${nodes}`);
  const sampleSize = overrides.sampleSize ?? sampleSizeOf(nodes);
  const asksAll = nodes < WHOLE_NETWORK_BELOW && sampleSize === nodes;
  const alpha = asksAll ? quorumSize(nodes) : Math.floor((4 * sampleSize + 4) / 5);
  const confidenceThreshold = overrides.confidenceThreshold ?? alpha;
  const majority = asksAll ? quorumSize(nodes) : Math.floor(sampleSize / 2) + 1;
  const preferenceThreshold = Math.min(majority, confidenceThreshold);
  const concurrentPolls = nodes <= FEW_POLLS_MAX ? FEW_POLLS : MANY_POLLS;
  const earlyBeta = Math.min(EARLY_BETA, overrides.beta ?? FIXED.beta);
  return { ...FIXED, earlyBeta, concurrentPolls, sampleSize, preferenceThreshold, confidenceThreshold, ...overrides };
}

function sampleSizeOf(nodes: number): number {
  if (nodes < WHOLE_NETWORK_BELOW) return nodes;
  return nodes <= MEDIUM_NETWORK_MAX ? Math.min(MEDIUM_SAMPLE, nodes) : LARGE_SAMPLE;
}

/** What each key may be for so many validators, both ends included. The ends that a relation sets are in `limitsOf`. */
function limitsOf(nodes: number, params: AvalancheParams): Readonly<Record<keyof AvalancheParams, Range>> {
  const { sampleSize, confidenceThreshold, patienceMs } = params;
  return {
    sampleSize: [1, nodes, `at most the ${nodes} validators`],
    // Above k/2 and up to k, whatever the other threshold is; then the two in order.
    confidenceThreshold: [Math.floor(sampleSize / 2) + 1, sampleSize, `more than half of sampleSize, ${sampleSize}`],
    preferenceThreshold: [
      Math.floor(sampleSize / 2) + 1,
      confidenceThreshold,
      `more than half of sampleSize, ${sampleSize}, and at most confidenceThreshold`,
    ],
    beta: [1, Math.min(1_000, params.maxRounds), "at most maxRounds"],
    earlyBeta: [1, params.beta, "at most beta"],
    // An average of integers never comes to a whole million once it was below it.
    finalizationPpm: [500_000, 999_999, "parts per million"],
    maxRounds: [1, 1_000_000, "polls"],
    minNetworkSize: [1, nodes, `the network has ${nodes}`],
    concurrentPolls: [1, 8, "polls at a time"],
    queryTimeoutMs: [10, 60_000, "milliseconds"],
    patienceMs: [10, 600_000, "milliseconds"],
    resolveAfterMs: [patienceMs + 1, 3_600_000, "milliseconds, more than patienceMs"],
  };
}

type Range = readonly [low: number, high: number, why: string];

/** In this order faults are found: a threshold that is off because k is off is not the fault to name. */
const KEYS: readonly (keyof AvalancheParams)[] = [
  "sampleSize",
  "confidenceThreshold",
  "preferenceThreshold",
  "maxRounds",
  "beta",
  "earlyBeta",
  "finalizationPpm",
  "minNetworkSize",
  "concurrentPolls",
  "queryTimeoutMs",
  "patienceMs",
  "resolveAfterMs",
];

/** The first thing that is wrong with these parameters for so many validators, in words with the key, its value and its range; null if all is well. */
export function paramsFault(nodes: number, params: AvalancheParams): string | null {
  if (!Number.isInteger(nodes) || nodes < 1) return `the network has ${nodes} validators, but must have 1 or more`;
  const limits = limitsOf(nodes, params);
  for (const key of KEYS) {
    const value = params[key];
    const [low, high, why] = limits[key];
    if (!Number.isInteger(value) || value < low || value > high)
      return `${key} is ${value}, but must be a whole number ${low} to ${high} (${why})`;
  }
  return null;
}
