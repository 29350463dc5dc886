import { expect, test } from "bun:test";
import { binomialAtLeast, hypergeometric } from "./hypergeometric.ts";

/** Counts every sample of a small population one by one. */
function counted(population: number, marked: number, draws: number, threshold: number): number {
  let hits = 0;
  let samples = 0;
  for (let set = 0; set < 2 ** population; set++) {
    const members = Array.from({ length: population }, (_, member) => (set >> member) & 1);
    if (members.reduce((sum, bit) => sum + bit, 0) !== draws) continue;
    samples++;
    if (members.slice(0, marked).reduce((sum, bit) => sum + bit, 0) >= threshold) hits++;
  }
  return hits / samples;
}

function choose(from: number, take: number): bigint {
  let result = 1n;
  for (let step = 1; step <= take; step++) result = (result * BigInt(from - take + step)) / BigInt(step);
  return result;
}

/** The tail in whole numbers; the quotient keeps 17 digits below 1e-250. */
function exact(population: number, marked: number, draws: number, threshold: number): number {
  let sum = 0n;
  for (let hits = threshold; hits <= Math.min(draws, marked); hits++)
    sum += choose(marked, hits) * (draws - hits > population - marked ? 0n : choose(population - marked, draws - hits));
  return Number((sum * 10n ** 300n) / choose(population, draws)) / 1e300;
}

test("the tail of a small population is what counting every sample gives", () => {
  for (const population of [1, 4, 7, 9]) {
    const { atLeast, below } = hypergeometric(population);
    for (let marked = 0; marked <= population; marked++)
      for (let draws = 0; draws <= population; draws++)
        for (let threshold = 0; threshold <= draws + 1; threshold++) {
          const expected = counted(population, marked, draws, threshold);
          expect(atLeast(marked, draws, threshold)).toBeCloseTo(expected, 12);
          expect(below(marked, draws, threshold)).toBeCloseTo(1 - expected, 12);
        }
  }
});

test("the tail agrees with whole numbers to 1e-10 of itself, far out too", () => {
  for (const [population, marked, draws, threshold] of [
    [100, 80, 30, 24],
    [100, 33, 30, 24],
    [1_000, 200, 40, 32],
    [1_000, 900, 40, 40],
    [10_000, 6_700, 40, 32],
  ] as const) {
    const expected = exact(population, marked, draws, threshold);
    const found = hypergeometric(population).atLeast(marked, draws, threshold);
    expect(Math.abs(found / expected - 1)).toBeLessThan(1e-10);
  }
});

test("what is below is kept where the tail is 1 within rounding", () => {
  const { atLeast, below } = hypergeometric(1_000);
  expect(atLeast(990, 40, 20)).toBeCloseTo(1, 9);
  const few = below(990, 40, 32);
  expect(few).toBeGreaterThan(0);
  expect(Math.abs(few / exact(1_000, 10, 40, 9) - 1)).toBeLessThan(1e-9);
});

test("the binomial tail agrees with adding up by hand", () => {
  expect(binomialAtLeast(3, 0.5, 2)).toBeCloseTo(0.5, 14);
  expect(binomialAtLeast(4, 0.25, 4)).toBeCloseTo(0.25 ** 4, 14);
  expect(binomialAtLeast(4, 0.25, 0)).toBeCloseTo(1, 14);
  expect(binomialAtLeast(4, 1, 4)).toBe(1);
});
