import { describe, expect, test } from "bun:test";
import { Bug } from "../lib/assert.ts";
import { faultTolerance, honestMinority, quorumSize } from "./quorum.ts";

const COUNTS = Array.from({ length: 200 }, (_, at) => at + 1);

/** The fewest validators that two sets of this size share. */
const shared = (quorum: number, count: number): number => 2 * quorum - count;

describe("quorums, for every n up to 200", () => {
  test("n >= 3f + 1, and f is the largest such (Lamport, Shostak, Pease 1982)", () => {
    for (const count of COUNTS) {
      const f = faultTolerance(count);
      expect(count).toBeGreaterThanOrEqual(3 * f + 1);
      expect(count).toBeLessThan(3 * (f + 1) + 1);
    }
  });

  test("any two quorums share more validators than can lie", () => {
    for (const count of COUNTS) expect(shared(quorumSize(count), count)).toBeGreaterThan(faultTolerance(count));
  });

  test("one validator less would not do, so no smaller number is safe", () => {
    for (const count of COUNTS) expect(shared(quorumSize(count) - 1, count)).toBeLessThanOrEqual(faultTolerance(count));
  });

  test("those that do not lie are a quorum: n - f >= q", () => {
    for (const count of COUNTS) expect(count - faultTolerance(count)).toBeGreaterThanOrEqual(quorumSize(count));
  });

  test("a quorum without its liars holds an honest minority's worth of validators to ask", () => {
    for (const count of COUNTS) {
      expect(quorumSize(count) - faultTolerance(count)).toBeGreaterThanOrEqual(1);
      expect(honestMinority(count)).toBe(faultTolerance(count) + 1);
      expect(honestMinority(count)).toBeLessThanOrEqual(quorumSize(count));
    }
  });

  test("2f + 1 when n = 3f + 1, and larger where that would be unsafe", () => {
    expect([4, 7, 10, 100].map(quorumSize)).toEqual([3, 5, 7, 67]);
    expect([1, 2, 3, 5, 6, 8, 9].map(quorumSize)).toEqual([1, 2, 2, 4, 4, 6, 6]);
  });

  test("no validators, or half a one, is a bug", () => {
    for (const count of [0, -1, 1.5, Number.NaN]) expect(() => quorumSize(count)).toThrow(Bug);
  });
});
