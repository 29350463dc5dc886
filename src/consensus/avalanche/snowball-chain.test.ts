import { describe, expect, test } from "bun:test";
import { disagreementBound } from "./safety.ts";
import {
  expectedHold,
  phaseShift,
  returnChance,
  type SamplingModel,
  splitAfter,
  splitChain,
} from "./snowball-chain.ts";

const weak: SamplingModel = {
  nodes: 20,
  byzantine: 2,
  sampleSize: 10,
  preferenceThreshold: 6,
  confidenceThreshold: 8,
  beta: 5,
};
const strong: SamplingModel = {
  ...weak,
  nodes: 100,
  byzantine: 10,
  sampleSize: 30,
  preferenceThreshold: 16,
  confidenceThreshold: 24,
  beta: 20,
};

/** Solves x = constant + sum of rates x neighbours by repeating it until nothing moves. */
function iterated(size: number, step: (x: readonly number[], i: number) => number): readonly number[] {
  let x: readonly number[] = Array.from({ length: size }, () => 0);
  for (let round = 0; round < 200_000; round++) {
    const next = x.map((_, i) => step(x, i));
    if (next.every((value, i) => Math.abs(value - (x[i] ?? 0)) < 1e-13)) return next;
    x = next;
  }
  return x;
}

describe("the chain of the split", () => {
  test("at a tie nobody is helped: only samples of correct validators move anyone", () => {
    const { up, down, centre } = splitChain(weak);
    expect(centre).toBe(9);
    expect(down[9]).toBe(0);
    // 9 of 20 red, 10 drawn, 6 or more red: by hand (sum of C(9,h) C(11,10-h) over C(20,10)) for either side.
    const ways = [6, 7, 8, 9].reduce((sum, hits) => sum + choose(9, hits) * choose(11, 10 - hits), 0) / choose(20, 10);
    expect(up[9]).toBeCloseTo(ways, 12);
  });

  test("the expected hold solves its equations", () => {
    for (const model of [weak, { ...weak, byzantine: 3 }]) {
      const chain = splitChain(model);
      const { correct, centre, up, down } = chain;
      const left = iterated(correct + 1, (x, i) => {
        if (i < centre || i >= correct) return 0;
        const rise = up[i] ?? 0;
        const fall = i === centre ? 0 : (down[i] ?? 0);
        return (1 + rise * (x[i + 1] ?? 0) + fall * (x[i - 1] ?? 0)) / (rise + fall);
      });
      expect(expectedHold(chain)[correct]).toBeCloseTo(left[centre] ?? 0, 5);
    }
  });

  test("the chance of a return solves its equations", () => {
    const chain = splitChain(weak);
    const { correct, centre, up, down } = chain;
    const solved = iterated(correct + 1, (x, i) => {
      if (i <= centre) return 1;
      if (i === correct) return 0;
      const [rise, fall] = [up[i] ?? 0, down[i] ?? 0];
      return (rise * (x[i + 1] ?? 0) + fall * (x[i - 1] ?? 0)) / (rise + fall);
    });
    const found = returnChance(chain);
    for (let i = centre; i < correct; i++) expect(found[i]).toBeCloseTo(solved[i] ?? 0, 9);
  });

  test("the chances to be split after each poll add up to the expected hold", () => {
    const chain = splitChain(weak);
    const expected = expectedHold(chain)[14] ?? 0;
    let sum = 0;
    for (let polls = 0; polls < 40 * expected; polls += 1)
      sum += polls % 50 === 0 ? 50 * splitAfter(chain, 14, polls) : 0;
    // A sum in steps of 50 polls is a little above that of every poll.
    expect(sum / expected).toBeGreaterThan(0.95);
    expect(sum / expected).toBeLessThan(1 + 50 / expected);
  });

  test("the phase shift is the first size with so small a chance of a return", () => {
    const chain = splitChain(strong);
    const found = phaseShift(chain, 1e-9) ?? 0;
    const chance = returnChance(chain);
    expect(chance[found]).toBeLessThanOrEqual(1e-9);
    expect(chance[found - 1]).toBeGreaterThan(1e-9);
    expect(phaseShift(splitChain({ ...strong, byzantine: 33 }), 1e-9)).toBeNull();
  });
});

describe("the bound of disagreement", () => {
  test("is nothing where every validator is asked and alpha is the quorum", () => {
    for (const [nodes, byzantine, quorum] of [
      [4, 1, 3],
      [7, 2, 5],
      [10, 3, 7],
      [6, 1, 4],
      [19, 6, 13],
    ] as const) {
      const model = {
        nodes,
        byzantine,
        sampleSize: nodes,
        preferenceThreshold: quorum,
        confidenceThreshold: quorum,
        beta: 20,
      };
      expect(disagreementBound(model, 1_000).probability).toBe(0);
      // One liar more than the quorum allows for, and it says so.
      expect(disagreementBound({ ...model, byzantine: byzantine + 2 }, 1_000).probability).toBeGreaterThan(0);
    }
  });

  test("grows with the Byzantine share and shrinks with beta", () => {
    const at = (byzantine: number, beta: number): number =>
      disagreementBound({ ...strong, byzantine, beta }, 1_000).probability;
    expect(at(5, 20)).toBeLessThan(at(10, 20));
    expect(at(10, 20)).toBeLessThan(at(20, 20));
    expect(at(10, 20)).toBeLessThan(at(10, 5));
    expect(at(33, 20)).toBe(1);
  });

  test("is the sum of its parts", () => {
    const { probability, decidedEarly, returned, decidedAgainst } = disagreementBound(strong, 1_000);
    expect(probability).toBeCloseTo(decidedEarly + returned + decidedAgainst, 15);
    expect(probability).toBeGreaterThan(0);
    expect(probability).toBeLessThan(1e-6);
  });
});

function choose(from: number, take: number): number {
  let result = 1;
  for (let step = 1; step <= take; step++) result = (result * (from - take + step)) / step;
  return result;
}
