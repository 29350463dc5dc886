/**
 * The expected number of polls until `beta` succeed in a row, when each succeeds with the same probability and on its own.
 * Exact: (p^-beta - 1) / (1 - p). `failure` is 1 - p, given apart because p alone cannot tell 1e-20 from none.
 * Infinite where polls never succeed.
 */
export function expectedPolls(success: number, failure: number, beta: number): number {
  if (success <= 0) return Number.POSITIVE_INFINITY;
  if (failure <= 0) return beta;
  const log = failure < 0.5 ? Math.log1p(-failure) : Math.log(success);
  return Math.expm1(-beta * log) / failure;
}

/** P(no `beta` successes in a row among the first `polls`). Exact, by the states 0 .. beta - 1 of the counter. */
export function unfinishedAfter(success: number, failure: number, beta: number, polls: number): number {
  let counters = new Float64Array(beta);
  counters[0] = 1;
  for (let poll = 0; poll < polls; poll++) {
    const next = new Float64Array(beta);
    next[0] = failure * counters.reduce((sum, share) => sum + share, 0);
    for (let count = 1; count < beta; count++) next[count] = success * (counters[count - 1] ?? 0);
    counters = next;
  }
  return counters.reduce((sum, share) => sum + share, 0);
}
