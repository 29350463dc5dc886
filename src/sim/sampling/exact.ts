import { hypergeometric } from "../../consensus/avalanche/hypergeometric.ts";
import type { SamplingModel } from "../../consensus/avalanche/snowball-chain.ts";
import { assert, present } from "../../lib/assert.ts";
import { answerOf, BLUE, RED, type SamplingAdversary } from "./adversary.ts";

export interface ExactOutcome {
  /** P(two correct validators decide differently). Exact but for `open`. */
  readonly disagree: number;
  readonly agree: number;
  /** What neither has been counted to: where no poll can move anybody, or when no more than `tolerance` moved. */
  readonly open: number;
}

/** More states than this take minutes. */
const STATES_MAX = 200_000;
const SWEEPS_MAX = 20_000;

/** How many states the chain of a model has: what `exactOutcome` takes grows with it. */
export function exactStates({ nodes, byzantine, beta }: SamplingModel): number {
  let count = 1;
  for (let place = 1; place <= 2 * beta; place++) count = (count * (nodes - byzantine + place)) / place;
  return Math.round(count);
}

/** Whether a model's chain is small enough. */
export function isExactlySolvable(model: SamplingModel): boolean {
  return exactStates(model) <= STATES_MAX;
}

/**
 * The whole Markov chain of polls that are made one by one: states say how many correct validators prefer each colour with each
 * count of successes, and how many have decided. Until all have decided, or two differently. No simplification: what a simulation of the same adversary measures
 * converges to it. Red and blue are mirror images, so the first colour that is decided is called red.
 * Adversaries whose answers are drawn (`random`) have no chain here.
 */
export function exactOutcome(
  model: SamplingModel,
  adversary: SamplingAdversary,
  red: number,
  tolerance = 1e-9,
): ExactOutcome {
  assert(adversary !== "random" && isExactlySolvable(model), "a chain of a drawn adversary, or of too many states");
  const chain = buildChain(model, adversary);
  let shares = new Float64Array(chain.states);
  const first = chain.indexOf([
    red,
    ...zeros(model.beta - 1),
    model.nodes - model.byzantine - red,
    ...zeros(model.beta - 1),
  ]);
  shares[first] = 1;
  let disagree = 0;
  let agree = 0;
  let moving = 1;
  for (let sweep = 0; sweep < SWEEPS_MAX && moving > tolerance; sweep++) {
    const next = new Float64Array(chain.states);
    for (let state = 0; state < chain.states; state++) {
      const share = shares[state] ?? 0;
      if (share === 0) continue;
      for (let edge = chain.begins[state] ?? 0; edge < (chain.begins[state + 1] ?? 0); edge++) {
        const moved = share * (chain.chances[edge] ?? 0);
        const target = chain.targets[edge] ?? 0;
        if (target === DISAGREE) disagree += moved;
        else if (target === AGREE) agree += moved;
        else next[target] = (next[target] ?? 0) + moved;
      }
    }
    shares = next;
    moving = next.reduce((sum, share) => sum + share, 0);
  }
  return { disagree, agree, open: Math.max(0, 1 - disagree - agree) };
}

const DISAGREE = -1;
const AGREE = -2;

interface Chain {
  readonly states: number;
  readonly indexOf: (counts: readonly number[]) => number;
  readonly begins: Int32Array;
  readonly targets: Int32Array;
  /** Given that something changes: polls without effect take no step. */
  readonly chances: Float64Array;
}

function buildChain(model: SamplingModel, adversary: SamplingAdversary): Chain {
  const correct = model.nodes - model.byzantine;
  const all = [...compositions(correct, 2 * model.beta)];
  const keyOf = (counts: readonly number[]): number => counts.reduce((key, count) => key * (correct + 1) + count, 0);
  const indices = new Map(all.map((counts, index) => [keyOf(counts), index]));
  const indexOf = (counts: readonly number[]): number => present(indices.get(keyOf(counts)), "a state of the chain");
  const begins = new Int32Array(all.length + 1);
  const targets: number[] = [];
  const chances: number[] = [];
  const polls = pollChances(model);
  for (const [state, counts] of all.entries()) {
    const steps = stepsFrom(counts, model, adversary, polls, indexOf).filter(
      ([target, chance]) => target !== state && chance > 0,
    );
    const total = steps.reduce((sum, [, chance]) => sum + chance, 0);
    for (const [target, chance] of steps) {
      targets.push(target);
      chances.push(chance / total);
    }
    begins[state + 1] = targets.length;
  }
  return {
    states: all.length,
    indexOf,
    begins,
    targets: Int32Array.from(targets),
    chances: Float64Array.from(chances),
  };
}

type Step = readonly [target: number, chance: number];
type PollChances = (supporters: number) => { readonly moves: number; readonly counts: number };

function stepsFrom(
  counts: readonly number[],
  { nodes, byzantine, beta }: SamplingModel,
  adversary: SamplingAdversary,
  polls: PollChances,
  indexOf: (counts: readonly number[]) => number,
): readonly Step[] {
  const correct = nodes - byzantine;
  const undecided = counts.reduce((sum, count) => sum + count, 0);
  const decidedRed = correct - undecided;
  const blue = counts.slice(beta).reduce((sum, count) => sum + count, 0);
  const sight = { red: correct - blue, blue, decidedRed, decidedBlue: 0 };
  const steps: Step[] = [];
  for (const [place, count] of counts.entries()) {
    if (count === 0) continue;
    const own = place < beta ? RED : BLUE;
    const answer = answerOf(adversary, sight, own);
    const redSupport = polls(sight.red + (answer === RED ? byzantine : 0));
    const blueSupport = polls(sight.blue + (answer === BLUE ? byzantine : 0));
    const [ours, theirs] = own === RED ? [redSupport, blueSupport] : [blueSupport, redSupport];
    const step = (chance: number, colour: number, streak: number): void => {
      const target = targetOf(counts, place, colour, streak, beta, decidedRed, correct);
      steps.push([Array.isArray(target) ? indexOf(target) : target, (count / undecided) * chance]);
    };
    step(ours.counts, own, (place % beta) + 1);
    step(theirs.counts, own === RED ? BLUE : RED, 1);
    step(theirs.moves - theirs.counts, own === RED ? BLUE : RED, 0);
    step(Math.max(0, 1 - ours.counts - theirs.moves), own, 0);
  }
  return steps;
}

/** Where one validator's step leads: the counts after it, or an end. */
function targetOf(
  counts: readonly number[],
  place: number,
  colour: number,
  streak: number,
  beta: number,
  decidedRed: number,
  correct: number,
): number[] | typeof DISAGREE | typeof AGREE {
  const after = [...counts];
  after[place] = (after[place] ?? 0) - 1;
  if (streak < beta) {
    const to = colour * beta + streak;
    after[to] = (after[to] ?? 0) + 1;
    return after;
  }
  if (colour === BLUE && decidedRed > 0) return DISAGREE;
  if (decidedRed + 1 === correct) return AGREE;
  return colour === RED ? after : [...after.slice(beta), ...after.slice(0, beta)];
}

/** Chances that a poll finds enough for either threshold, by the number of supporters among all. */
function pollChances({ nodes, sampleSize, preferenceThreshold, confidenceThreshold }: SamplingModel): PollChances {
  const { atLeast } = hypergeometric(nodes);
  const table = Array.from({ length: nodes + 1 }, (_, supporters) => ({
    moves: atLeast(supporters, sampleSize, preferenceThreshold),
    counts: atLeast(supporters, sampleSize, confidenceThreshold),
  }));
  return (supporters) => present(table[supporters], "a number of supporters");
}

/** All ways to put up to `total` into so many places. */
function* compositions(total: number, places: number): Generator<readonly number[]> {
  if (places === 0) {
    yield [];
    return;
  }
  for (let here = 0; here <= total; here++)
    for (const rest of compositions(total - here, places - 1)) yield [here, ...rest];
}

function zeros(count: number): readonly number[] {
  return Array.from({ length: count }, () => 0);
}
