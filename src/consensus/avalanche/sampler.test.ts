import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type RandomSource, sample } from "./sampler.ts";

/** Knuth's 64-bit generator: what is drawn must be even, and the same each time. */
function seeded(seed: number): RandomSource {
  let state = BigInt(seed) + 1n;
  return {
    below: (bound) => {
      state = BigInt.asUintN(64, state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
      return Number((state >> 33n) % BigInt(bound));
    },
  };
}

describe("a sample", () => {
  test("is of distinct members, ascending, as many as asked for or as there are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 50 }), fc.nat(), (size, count, seed) => {
        const members = Array.from({ length: size }, (_, at) => at * 3);
        const drawn = sample(members, count, seeded(seed));
        expect(drawn.length).toBe(Math.min(size, count));
        expect([...new Set(drawn)].sort((left, right) => left - right)).toEqual([...drawn]);
        expect(drawn.every((member) => members.includes(member))).toBe(true);
      }),
    );
  });

  test("draws each member about as often as any other", () => {
    const random = seeded(7);
    const counts = new Array<number>(10).fill(0);
    const members = counts.map((_, at) => at);
    for (let time = 0; time < 10_000; time++)
      for (const at of sample(members, 3, random)) counts[at] = (counts[at] ?? 0) + 1;
    // 3,000 expected, deviation about 46: six of them.
    for (const count of counts) expect(Math.abs(count - 3_000)).toBeLessThan(280);
  });

  test("draws by weight, and never what weighs nothing", () => {
    const random = seeded(9);
    const counts = [0, 0, 0];
    for (let time = 0; time < 9_000; time++) {
      const [drawn] = sample([0, 1, 2], 1, random, (member) => [2, 1, 0][member] ?? 0);
      if (drawn !== undefined) counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    expect(counts[2]).toBe(0);
    expect(Math.abs((counts[0] ?? 0) - 6_000)).toBeLessThan(280);
  });
});
