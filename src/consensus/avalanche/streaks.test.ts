import { expect, test } from "bun:test";
import { binomialAtLeast, hypergeometric } from "./hypergeometric.ts";
import { expectedPolls, unfinishedAfter } from "./streaks.ts";

test("with k 30, alpha 24 and beta 20 the figures of correction 17 come out", () => {
  const polls = (silent: number): number => {
    const success = binomialAtLeast(30, 1 - silent, 24);
    return expectedPolls(success, 1 - success, 20);
  };
  expect(Math.round(polls(0.1))).toBe(27);
  expect(Math.round(polls(0.15))).toBe(173);
  expect(polls(0.2) / 55_000).toBeCloseTo(1, 1);
  expect(polls(0.25) / 2e9).toBeGreaterThan(1);
  expect(polls(0.25) / 2e9).toBeLessThan(1.2);
});

test("100 validators, sampled without putting back, need fewer polls than that", () => {
  const { atLeast, below } = hypergeometric(100);
  const polls = [10, 15, 20, 25].map((silent) =>
    expectedPolls(atLeast(100 - silent, 30, 24), below(100 - silent, 30, 24), 20),
  );
  expect(polls.map((count) => Number(count.toPrecision(2)))).toEqual([22, 88, 43_000, 19e9]);
});

test("polls that always succeed take beta, polls that never do take for ever", () => {
  expect(expectedPolls(1, 0, 20)).toBe(20);
  expect(expectedPolls(0, 1, 20)).toBe(Number.POSITIVE_INFINITY);
  // 1 - 1e-20 is 1 in a double: only the failure tells them apart, and it hardly matters.
  expect(expectedPolls(1, 1e-20, 20)).toBeCloseTo(20, 10);
});

test("two heads in a row take six throws in expectation, and 5 of 8 throws of three have none", () => {
  expect(expectedPolls(0.5, 0.5, 2)).toBeCloseTo(6, 12);
  expect(unfinishedAfter(0.5, 0.5, 2, 3)).toBeCloseTo(5 / 8, 12);
  expect(unfinishedAfter(0.5, 0.5, 2, 0)).toBe(1);
  expect(unfinishedAfter(1, 0, 20, 19)).toBe(1);
  expect(unfinishedAfter(1, 0, 20, 20)).toBe(0);
});

test("the chances to be unfinished after each poll add up to the expected number of polls", () => {
  let sum = 0;
  for (let poll = 0; poll < 400; poll++) sum += unfinishedAfter(0.7, 0.3, 3, poll);
  expect(sum).toBeCloseTo(expectedPolls(0.7, 0.3, 3), 8);
});
