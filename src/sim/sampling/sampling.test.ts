import { describe, expect, test } from "bun:test";
import { disagreementBound } from "../../consensus/avalanche/safety.ts";
import type { SamplingModel } from "../../consensus/avalanche/snowball-chain.ts";
import { Random } from "../random.ts";
import type { SamplingAdversary } from "./adversary.ts";
import { exactOutcome, exactStates } from "./exact.ts";
import { runSampling } from "./network.ts";

const weak: SamplingModel = {
  nodes: 16,
  byzantine: 3,
  sampleSize: 10,
  preferenceThreshold: 6,
  confidenceThreshold: 7,
  beta: 2,
};

function measured(model: SamplingModel, adversary: SamplingAdversary, runs: number): number {
  let failures = 0;
  for (let seed = 0; seed < runs; seed++) {
    const red = Math.ceil((model.nodes - model.byzantine) / 2);
    const run = { model, adversary, red, schedule: "one by one", roundsMax: 1_000 } as const;
    const { decidedRed, decidedBlue } = runSampling(run, Random.of(11, seed));
    if (decidedRed > 0 && decidedBlue > 0) failures++;
  }
  return failures / runs;
}

describe("measured and computed", () => {
  // 3.5 standard deviations: one seeded campaign, so the test is the same every time.
  for (const adversary of ["silent", "split", "tip"] as const) {
    for (const model of [
      weak,
      { ...weak, nodes: 15, confidenceThreshold: 8 },
      { ...weak, nodes: 13, byzantine: 2, beta: 3 },
    ]) {
      const { nodes, confidenceThreshold, beta } = model;
      test(`${adversary}, ${nodes} nodes, alpha ${confidenceThreshold}, beta ${beta}: the rate is within 3.5 sigma of the chain's`, () => {
        const red = Math.ceil((model.nodes - model.byzantine) / 2);
        const { disagree, agree, open } = exactOutcome(model, adversary, red);
        expect(disagree + agree + open).toBeCloseTo(1, 9);
        const runs = 4_000;
        const sigma = Math.sqrt((disagree * (1 - disagree)) / runs);
        expect(Math.abs(measured(model, adversary, runs) - disagree)).toBeLessThan(3.5 * sigma + 1 / runs);
      });
    }
  }

  test("the bound is above what the chain computes, for adversaries that know the protocol too", () => {
    const model = { ...weak, byzantine: 1, confidenceThreshold: 8 };
    const bound = disagreementBound(model, 1_000).probability;
    expect(bound).toBeLessThan(1);
    for (const adversary of ["silent", "split", "tip"] as const)
      expect(exactOutcome(model, adversary, 8).disagree).toBeLessThan(bound);
    expect(exactOutcome(model, "tip", 8).disagree).toBeGreaterThan(1e-4);
  });

  test("a chain has as many states as there are ways to share the correct validators out", () => {
    expect(exactStates(weak)).toBe((17 * 16 * 15 * 14) / 24);
  });
});

describe("a simulated network", () => {
  const model = {
    ...weak,
    nodes: 50,
    byzantine: 0,
    sampleSize: 30,
    preferenceThreshold: 16,
    confidenceThreshold: 24,
    beta: 20,
  };

  test("without conflict decides after exactly beta rounds", () => {
    const run = { model, adversary: "silent", red: 50, schedule: "rounds", roundsMax: 100 } as const;
    expect(runSampling(run, new Random(1))).toEqual({ rounds: 20, first: 20, decidedRed: 50, decidedBlue: 0 });
  });

  test("decides alike from an even split, and the same seed repeats it", () => {
    const run = { model, adversary: "silent", red: 25, schedule: "rounds", roundsMax: 1_000 } as const;
    const outcome = runSampling(run, new Random(5));
    expect(Math.max(outcome.decidedRed, outcome.decidedBlue)).toBe(50);
    expect(outcome.rounds).toBeGreaterThan(20);
    expect(runSampling(run, new Random(5))).toEqual(outcome);
  });

  test("is held undecided by a third that rebalances, and not by a third that answers at random", () => {
    const third = { ...model, nodes: 100, byzantine: 33 };
    const run = { model: third, red: 34, schedule: "rounds", roundsMax: 100 } as const;
    expect(runSampling({ ...run, adversary: "split" }, new Random(3)).first).toBeNull();
    const few = { ...third, byzantine: 3 };
    expect(runSampling({ ...run, model: few, red: 49, adversary: "split" }, new Random(3)).rounds).toBeLessThan(100);
    expect(runSampling({ ...run, model: few, red: 49, adversary: "random" }, new Random(3)).rounds).toBeLessThan(100);
  });
});
