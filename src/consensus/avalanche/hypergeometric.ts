import { assert } from "../../lib/assert.ts";

/** Samples without replacement from one population. Reporting only: nothing is decided by these floating-point numbers. */
export interface Hypergeometric {
  /** P(a sample of `draws` holds at least `threshold` of the `marked`). Relative error below 1e-10 for a population of 10,000. */
  readonly atLeast: (marked: number, draws: number, threshold: number) => number;
  /** P(it holds fewer), summed for itself: exact too where `atLeast` is 1 within rounding. */
  readonly below: (marked: number, draws: number, threshold: number) => number;
}

/** For a population of 1 or more. `marked` and `draws` are 0 .. population; a threshold may be anything. */
export function hypergeometric(population: number): Hypergeometric {
  assert(Number.isInteger(population) && population >= 1, `a population of 1 or more: ${population}`);
  const logs = logFactorials(population);
  const logChoose = (from: number, take: number): number => at(logs, from) - at(logs, take) - at(logs, from - take);
  const mass = (marked: number, draws: number, hits: number): number => {
    if (hits < Math.max(0, draws - (population - marked)) || hits > Math.min(draws, marked)) return 0;
    const log = logChoose(marked, hits) + logChoose(population - marked, draws - hits) - logChoose(population, draws);
    return Math.exp(log);
  };
  return {
    atLeast: (marked, draws, threshold) => {
      if (threshold <= Math.max(0, draws - (population - marked))) return 1;
      let sum = 0;
      // From the far end of the tail, so that small terms are not lost in large ones.
      for (let hits = Math.min(draws, marked); hits >= threshold; hits--) sum += mass(marked, draws, hits);
      return Math.min(1, sum);
    },
    below: (marked, draws, threshold) => {
      if (threshold > Math.min(draws, marked)) return 1;
      let sum = 0;
      for (let hits = 0; hits < threshold; hits++) sum += mass(marked, draws, hits);
      return Math.min(1, sum);
    },
  };
}

/** P(at least `threshold` of `draws` independent trials succeed): sampling with replacement, or a population without end. */
export function binomialAtLeast(draws: number, success: number, threshold: number): number {
  const logs = logFactorials(draws);
  let sum = 0;
  for (let hits = draws; hits >= Math.max(0, threshold); hits--) {
    const log = at(logs, draws) - at(logs, hits) - at(logs, draws - hits);
    sum += Math.exp(log) * success ** hits * (1 - success) ** (draws - hits);
  }
  return Math.min(1, sum);
}

/** ln(0!) .. ln(highest!), summed with compensation (Kahan), so that the error does not grow with the count. */
function logFactorials(highest: number): Float64Array {
  const logs = new Float64Array(highest + 1);
  let sum = 0;
  let lost = 0;
  for (let value = 2; value <= highest; value++) {
    const term = Math.log(value) - lost;
    const next = sum + term;
    lost = next - sum - term;
    sum = next;
    logs[value] = sum;
  }
  return logs;
}

function at(table: Float64Array, index: number): number {
  return table[index] ?? 0;
}
