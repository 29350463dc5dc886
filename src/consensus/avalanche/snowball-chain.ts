import { hypergeometric } from "./hypergeometric.ts";

/**
 * Sampling as the Avalanche paper analyses it (arXiv 1906.08936, Snowflake as a birth-death process), with two thresholds:
 * one poll at a time, by a correct validator that is drawn at random, over a sample of all validators (itself among them)
 * that answers at once. Two colours. The Byzantine ones know all, answer each poll as suits them, and see to no schedule.
 */
export interface SamplingModel {
  readonly nodes: number;
  readonly byzantine: number;
  readonly sampleSize: number;
  readonly preferenceThreshold: number;
  readonly confidenceThreshold: number;
  readonly beta: number;
}

/**
 * The split of the correct validators, folded: state i of `centre .. correct` says that i of them prefer the colour of the
 * larger part; below the centre lies the mirror image. Rates are chances per poll of the whole network, under the adversary that holds the split best: it supports the
 * smaller part, and at a tie whoever asks. No other way of answering has a lower `up` or a higher `down` anywhere, so
 * times to leave the middle are the longest, and chances to come back the highest, of any adversary (exact for this one).
 */
export interface SplitChain {
  readonly correct: number;
  readonly centre: number;
  readonly up: Float64Array;
  readonly down: Float64Array;
}

export function splitChain(model: SamplingModel): SplitChain {
  const { nodes, byzantine, sampleSize, preferenceThreshold } = model;
  const { atLeast } = hypergeometric(nodes);
  const correct = nodes - byzantine;
  const centre = Math.ceil(correct / 2);
  const up = new Float64Array(correct + 1);
  const down = new Float64Array(correct + 1);
  for (let larger = centre; larger <= correct; larger++) {
    const smaller = correct - larger;
    up[larger] = (smaller / correct) * atLeast(larger, sampleSize, preferenceThreshold);
    down[larger] = (larger / correct) * atLeast(smaller + byzantine, sampleSize, preferenceThreshold);
  }
  // From a tie both ways lead up.
  if (correct % 2 === 0) {
    up[centre] = 2 * (up[centre] ?? 0);
    down[centre] = 0;
  }
  return { correct, centre, up, down };
}

/**
 * The expected polls of the network from an even split until the larger part has each size: entry i of the table, for
 * centre .. correct. Exact for the adversary of `SplitChain`, an upper bound for others. Infinite where it holds for ever.
 */
export function expectedHold(chain: SplitChain): Float64Array {
  const { correct, centre, up, down } = chain;
  const hold = new Float64Array(correct + 1);
  let step = 0;
  for (let i = centre; i < correct; i++) {
    const rise = up[i] ?? 0;
    const fall = i === centre ? 0 : (down[i] ?? 0);
    step = rise === 0 ? Number.POSITIVE_INFINITY : (1 + (fall === 0 ? 0 : fall * step)) / rise;
    hold[i + 1] = (hold[i] ?? 0) + step;
  }
  return hold;
}

/**
 * The chance that the larger part stops being a majority, from each size and before all correct validators agree: entry i, for
 * centre .. correct. Exact for the adversary of `SplitChain`, an upper bound for others.
 */
export function returnChance(chain: SplitChain): Float64Array {
  const { correct, centre, up, down } = chain;
  const falls = new Float64Array(correct + 1);
  for (let i = correct - 1; i >= centre; i--) {
    const fall = down[i] ?? 0;
    falls[i] = fall === 0 ? 0 : fall / (fall + (up[i] ?? 0) * (1 - (falls[i + 1] ?? 0)));
  }
  const chance = new Float64Array(correct + 1);
  // Of an odd number the larger part has a majority even at the centre.
  chance[centre] = correct % 2 === 0 ? 1 : (falls[centre] ?? 0);
  for (let i = centre + 1; i <= correct; i++) chance[i] = (chance[i - 1] ?? 0) * (falls[i] ?? 0);
  return chance;
}

/** The paper's phase shift: the smallest majority that is lost again with at most this chance; null if none has it. */
export function phaseShift(chain: SplitChain, chanceMax: number): number | null {
  const chance = returnChance(chain);
  for (let i = chain.centre; i < chain.correct; i++) if ((chance[i] ?? 1) <= chanceMax) return i;
  return null;
}

/**
 * P(the larger part was never as large as `size`) after so many polls of the network, from an even split. Exact for the
 * adversary of `SplitChain`. Costs polls x correct / 2 steps.
 */
export function splitAfter(chain: SplitChain, size: number, polls: number): number {
  const { centre, up, down } = chain;
  let shares = new Float64Array(size + 1);
  let next = new Float64Array(size + 1);
  shares[centre] = 1;
  let left = size > centre ? 1 : 0;
  for (let poll = 0; poll < polls && left > 1e-300; poll++) {
    left = 0;
    for (let i = centre; i < size; i++) {
      const here = (shares[i] ?? 0) * (1 - (up[i] ?? 0) - (i > centre ? (down[i] ?? 0) : 0));
      const from = i > centre ? (shares[i - 1] ?? 0) * (up[i - 1] ?? 0) : 0;
      const back = i + 1 < size ? (shares[i + 1] ?? 0) * (down[i + 1] ?? 0) : 0;
      const share = here + from + back;
      next[i] = share;
      left += share;
    }
    [shares, next] = [next, shares];
  }
  return left;
}
