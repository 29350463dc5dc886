import { describe, expect, test } from "bun:test";
import { type Planted, ResolutionWorld, type Scene, type WorldOptions } from "./resolution.cases.ts";

const STEPS = 120;

function firstViolation(seeds: number, options: Omit<WorldOptions, "seed">): string | null {
  for (let seed = 0; seed < seeds; seed++) {
    const violation = new ResolutionWorld({ ...options, seed }).violation(STEPS);
    if (violation !== null) return `seed ${seed}, ${violation}`;
  }
  return null;
}

describe("whatever liars report, and in whatever order", () => {
  for (const size of [4, 7]) {
    test(`of ${size} validators, no two winners share a set and nothing final loses`, () => {
      expect(firstViolation(600, { size })).toBeNull();
    });

    test(`of ${size} validators, nor do they over several epochs, with room for two rulings`, () => {
      const bounds = { openPerReporter: 2, rulings: 2 };
      expect(firstViolation(600, { size, epochs: true, bounds })).toBeNull();
    });

    test(`of ${size} validators, a subject that all correct ones report is decided`, () => {
      for (let seed = 0; seed < 300; seed++) {
        const world = new ResolutionWorld({ size, seed });
        expect(world.violation(seed % STEPS)).toBeNull();
        expect(world.decidesWhatAllReport()).toBe(true);
      }
    });
  }
});

/**
 * A rival is certified, and loses its other set to a unit that was reported before anybody held the certificate. Another
 * rival becomes final. Then the subject of both is reported, with the certificate of the first.
 */
const DEAD_RIVAL: readonly Scene[] = [
  { act: "accept", member: 0 },
  { act: "report", member: 3 },
  { act: "lie", member: 3 },
  { act: "order", member: 3 },
  { act: "accept", member: 1 },
  { act: "learn", member: 1 },
  { act: "commit", member: 1 },
  { act: "learn", member: 0 },
  { act: "report", member: 2 },
  { act: "lie", member: 2 },
  { act: "order", member: 2 },
];

test("a rival that lost before, and a final one beside it, keep the subject from winning", () => {
  expect(firstViolation(2_000, { size: 4, plot: DEAD_RIVAL })).toBeNull();
  expect(firstViolation(2_000, { size: 4, plot: DEAD_RIVAL, planted: "forgets dead rivals" })).not.toBeNull();
});

describe("the same properties notice a rule that", () => {
  const planted: readonly Planted[] = [
    "ignores certificates",
    "decides on q-1 reports",
    "breaks promises",
    "forgets this epoch's rulings",
  ];
  for (const rule of planted) {
    test(rule, () => {
      expect(firstViolation(4_000, { size: 4, planted: rule })).not.toBeNull();
    });
  }
});
