import { describe, expect, test } from "bun:test";
import { quorumSize } from "../../membership/quorum.ts";
import { type AvalancheParams, deriveParams, paramsFault } from "./params.ts";

describe("derived parameters", () => {
  test("below 20 validators everyone is asked and a success takes the quorum of agreement", () => {
    for (let nodes = 1; nodes < 20; nodes++) {
      const params = deriveParams(nodes);
      expect([params.sampleSize, params.preferenceThreshold, params.confidenceThreshold]).toEqual([
        nodes,
        quorumSize(nodes),
        quorumSize(nodes),
      ]);
    }
  });

  test("from 20 on they follow document 2: k 30, above 100 k 40, alpha four fifths, and a majority moves a preference", () => {
    const thresholds = [20, 21, 29, 30, 100, 101, 1_000].map((nodes) => {
      const { sampleSize, preferenceThreshold, confidenceThreshold } = deriveParams(nodes);
      return [nodes, sampleSize, preferenceThreshold, confidenceThreshold];
    });
    expect(thresholds).toEqual([
      [20, 20, 11, 16],
      [21, 21, 11, 17],
      [29, 29, 15, 24],
      [30, 30, 16, 24],
      [100, 30, 16, 24],
      [101, 40, 21, 32],
      [1_000, 40, 21, 32],
    ]);
  });

  test("above 50 validators, where turns are long, twice as many polls run at a time", () => {
    expect([1, 4, 50, 51, 100, 1_000].map((nodes) => deriveParams(nodes).concurrentPolls)).toEqual([4, 4, 4, 8, 8, 8]);
    expect(deriveParams(100, { concurrentPolls: 3 }).concurrentPolls).toBe(3);
  });

  test("are valid for every size", () => {
    for (let nodes = 1; nodes <= 1_100; nodes++) expect(paramsFault(nodes, deriveParams(nodes))).toBeNull();
  });

  test("an overridden k moves the thresholds, and an overridden alpha bounds the preference's", () => {
    expect(deriveParams(100, { sampleSize: 10 })).toMatchObject({ confidenceThreshold: 8, preferenceThreshold: 6 });
    expect(deriveParams(10, { sampleSize: 5 })).toMatchObject({ confidenceThreshold: 4, preferenceThreshold: 3 });
    expect(deriveParams(10, { confidenceThreshold: 6 })).toMatchObject({ sampleSize: 10, preferenceThreshold: 6 });
    expect(deriveParams(100, { beta: 5 })).toEqual({ ...deriveParams(100), beta: 5 });
    expect(deriveParams(100, { beta: 2 })).toEqual({ ...deriveParams(100), beta: 2, earlyBeta: 2 });
  });
});

describe("a fault of the parameters", () => {
  const cases: readonly (readonly [Partial<AvalancheParams>, string])[] = [
    [{ sampleSize: 101 }, "sampleSize is 101, but must be a whole number 1 to 100 (at most the 100 validators)"],
    [{ confidenceThreshold: 15 }, "confidenceThreshold is 15, but must be a whole number 16 to 30 (more than half"],
    [{ confidenceThreshold: 31 }, "confidenceThreshold is 31, but must be a whole number 16 to 30"],
    [{ preferenceThreshold: 15 }, "preferenceThreshold is 15, but must be a whole number 16 to 24"],
    [{ preferenceThreshold: 25 }, "preferenceThreshold is 25, but must be a whole number 16 to 24"],
    [{ beta: 0 }, "beta is 0, but must be a whole number 1 to 1000"],
    [{ beta: 11, maxRounds: 10 }, "beta is 11, but must be a whole number 1 to 10 (at most maxRounds)"],
    [{ beta: 2.5 }, "beta is 2.5, but"],
    [{ earlyBeta: 21 }, "earlyBeta is 21, but must be a whole number 1 to 20 (at most beta)"],
    [{ finalizationPpm: 1_000_000 }, "finalizationPpm is 1000000, but must be a whole number 500000 to 999999"],
    [{ maxRounds: Number.NaN }, "maxRounds is NaN, but"],
    [{ minNetworkSize: 101 }, "minNetworkSize is 101, but must be a whole number 1 to 100 (the network has 100)"],
    [{ concurrentPolls: 9 }, "concurrentPolls is 9, but must be a whole number 1 to 8"],
    [{ queryTimeoutMs: 0 }, "queryTimeoutMs is 0, but must be a whole number 10 to 60000"],
    [{ patienceMs: 6_000 }, "resolveAfterMs is 6000, but must be a whole number 6001 to 3600000"],
  ];
  for (const [override, message] of cases) {
    test(`${JSON.stringify(override)} is named with its value and its range`, () => {
      expect(paramsFault(100, deriveParams(100, override))).toStartWith(message);
    });
  }

  test("a network of no validators has no parameters", () => {
    expect(paramsFault(0, deriveParams(1))).toBe("the network has 0 validators, but must have 1 or more");
  });
});
