import { faultTolerance } from "../../membership/quorum.ts";
import { deriveParams } from "../../consensus/avalanche/params.ts";
import { disagreementBound } from "../../consensus/avalanche/safety.ts";
import { expectedHold, type SamplingModel, splitChain } from "../../consensus/avalanche/snowball-chain.ts";
import { Random } from "../random.ts";
import type { SamplingAdversary } from "./adversary.ts";
import { exactOutcome, isExactlySolvable } from "./exact.ts";
import { runSampling, type SamplingOutcome, type SamplingRun } from "./network.ts";

/** The model of a network with the parameters that it gets. */
export function modelOf(nodes: number, byzantine: number): SamplingModel {
  const { sampleSize, preferenceThreshold, confidenceThreshold, beta } = deriveParams(nodes);
  return { nodes, byzantine, sampleSize, preferenceThreshold, confidenceThreshold, beta };
}

type Conflict = Omit<SamplingRun, "red">;

/** Runs of one kind, each with a seed of its own, from an even split or from first preferences by the toss of a coin. */
export function outcomes(
  run: Conflict,
  start: "even" | "coin" | "all red",
  runs: number,
  seed: number,
): readonly SamplingOutcome[] {
  const correct = run.model.nodes - run.model.byzantine;
  return Array.from({ length: runs }, (_, index) => {
    const random = Random.of(seed, index);
    let red = start === "even" ? Math.ceil(correct / 2) : start === "coin" ? 0 : correct;
    if (start === "coin") for (let node = 0; node < correct; node++) red += random.below(2);
    return runSampling({ ...run, red }, random);
  });
}

export interface RoundsRow {
  readonly nodes: number;
  readonly sampleSize: number;
  /** By the names of ROUNDS_CASES. */
  readonly cells: readonly RoundsCell[];
}

export interface RoundsCell {
  /** Rounds until the last correct validator decided: mean and most of the runs that ended. Null where none did. */
  readonly mean: number | null;
  readonly most: number | null;
  /** Runs that ended, of all. */
  readonly ended: number;
  readonly runs: number;
}

const ROUNDS_MAX = 1_000;

/** What rounds are measured for. */
export const ROUNDS_CASES = [
  { name: "no conflict", start: "all red", adversary: "silent", share: 0, rule: "snowflake" },
  { name: "conflict", start: "coin", adversary: "silent", share: 0, rule: "snowflake" },
  { name: "conflict, by majority of polls (Snowball)", start: "coin", adversary: "silent", share: 0, rule: "snowball" },
  { name: "conflict, 10 % answer at random", start: "coin", adversary: "random", share: 0.1, rule: "snowflake" },
  { name: "conflict, 5 % rebalance", start: "coin", adversary: "split", share: 0.05, rule: "snowflake" },
] as const;

/** Rounds to decision by network size (NFR-003). */
export function roundsTable(sizes: readonly number[], runs: number, seed: number): readonly RoundsRow[] {
  return sizes.map((nodes) => ({
    nodes,
    sampleSize: deriveParams(nodes).sampleSize,
    cells: ROUNDS_CASES.map(({ start, adversary, share, rule }) => {
      const model = modelOf(nodes, Math.floor(nodes * share));
      const run = { model, adversary, rule, schedule: "rounds", roundsMax: ROUNDS_MAX } as const;
      return roundsCell(outcomes(run, start, runs, seed + nodes));
    }),
  }));
}

function roundsCell(all: readonly SamplingOutcome[]): RoundsCell {
  const rounds = all.flatMap(({ rounds }) => (rounds === null ? [] : [rounds]));
  const mean = rounds.length === 0 ? null : rounds.reduce((sum, value) => sum + value, 0) / rounds.length;
  return { mean, most: rounds.length === 0 ? null : Math.max(...rounds), ended: rounds.length, runs: all.length };
}

/** Least squares of y against the binary logarithm of x. */
export function logFit(points: readonly (readonly [x: number, y: number])[]): {
  readonly at1: number;
  readonly perDoubling: number;
  readonly r2: number;
} {
  const logs = points.map(([x, y]) => [Math.log2(x), y] as const);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(logs.map(([x]) => x)), mean(logs.map(([, y]) => y))];
  const sxy = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const sxx = logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  const syy = logs.reduce((sum, [, y]) => sum + (y - my) ** 2, 0);
  return { at1: my - (sxy / sxx) * mx, perDoubling: sxy / sxx, r2: syy === 0 ? 1 : sxy ** 2 / (sxx * syy) };
}

export interface FailureRow {
  readonly model: SamplingModel;
  readonly adversary: SamplingAdversary;
  readonly runs: number;
  readonly failures: number;
  /** 95 % interval of the measured rate (Wilson). */
  readonly interval: readonly [number, number];
  /** By the whole chain; null where it has too many states. */
  readonly exact: number | null;
  readonly bound: number;
}

/** How often two correct validators decide differently, polls one by one from an even split: measured, exact, and the bound. */
export function failureRow(model: SamplingModel, adversary: SamplingAdversary, runs: number, seed: number): FailureRow {
  const run = { model, adversary, schedule: "one by one", roundsMax: ROUNDS_MAX } as const;
  const failures = outcomes(run, "even", runs, seed).filter(
    ({ decidedRed, decidedBlue }) => decidedRed > 0 && decidedBlue > 0,
  ).length;
  const red = Math.ceil((model.nodes - model.byzantine) / 2);
  const exact = isExactlySolvable(model) ? exactOutcome(model, adversary, red).disagree : null;
  return {
    model,
    adversary,
    runs,
    failures,
    interval: wilson(failures, runs),
    exact,
    bound: disagreementBound(model, ROUNDS_MAX).probability,
  };
}

/** The 95 % score interval of a rate (Wilson 1927): sound at none and at all of the runs too. */
export function wilson(hits: number, runs: number): readonly [number, number] {
  const z = 1.959964;
  const rate = hits / runs;
  const middle = rate + z ** 2 / (2 * runs);
  const half = z * Math.sqrt((rate * (1 - rate)) / runs + z ** 2 / (4 * runs ** 2));
  const scale = 1 + z ** 2 / runs;
  // At none and at all of the runs one end is exact, but for rounding.
  return [hits === 0 ? 0 : (middle - half) / scale, hits === runs ? 1 : (middle + half) / scale];
}

export interface StallRow {
  readonly nodes: number;
  readonly byzantine: number;
  /** Rounds until all correct ones prefer the same: expected, from the chain. Infinite where never. */
  readonly computed: number;
  /** Median rounds until the last one decided, with polls one by one and in rounds; null where most runs had not ended. */
  readonly oneByOne: number | null;
  readonly inRounds: number | null;
  /** Of the runs one by one: how many had no decision at all at the end, and in how many two decided differently. */
  readonly undecided: number;
  readonly split: number;
  readonly runs: number;
}

/** How long `split` holds a conflict open. Runs end after 1,000 rounds. */
export function stallRow(nodes: number, byzantine: number, runs: number, seed: number): StallRow {
  const model = modelOf(nodes, byzantine);
  const of = (schedule: SamplingRun["schedule"]): readonly SamplingOutcome[] =>
    outcomes({ model, adversary: "split", schedule, roundsMax: ROUNDS_MAX }, "even", runs, seed);
  const alone = of("one by one");
  return {
    nodes,
    byzantine,
    computed: holdRounds(nodes, byzantine),
    oneByOne: median(alone),
    inRounds: median(of("rounds")),
    undecided: alone.filter(({ first }) => first === null).length,
    split: alone.filter(({ decidedRed, decidedBlue }) => decidedRed > 0 && decidedBlue > 0).length,
    runs,
  };
}

/** Expected rounds for which an even split is held, with the parameters of the size. */
export function holdRounds(nodes: number, byzantine: number): number {
  const chain = splitChain(modelOf(nodes, byzantine));
  return (expectedHold(chain)[chain.correct] ?? 0) / chain.correct;
}

/** The fewest Byzantine validators that hold an even split for so many rounds in expectation; null where those tolerated do not. */
export function fewestThatHold(nodes: number, rounds: number): number | null {
  for (let byzantine = 0; byzantine <= faultTolerance(nodes); byzantine++)
    if (holdRounds(nodes, byzantine) >= rounds) return byzantine;
  return null;
}

function median(all: readonly SamplingOutcome[]): number | null {
  const sorted = all.map(({ rounds }) => rounds ?? Infinity).sort((left, right) => left - right);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? Infinity;
  return middle === Infinity ? null : middle;
}
