import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { seen } from "./membership.cases.ts";
import { faultTolerance, quorumSize } from "./quorum.ts";
import {
  dismissalBy,
  INACTIVE_MS_MAX,
  judge,
  type Observation,
  REPUTATION_PPM_MIN,
  reputationPpm,
} from "./reputation.ts";

const ppm = fc.integer({ min: 0, max: 1_000_000 });
const silence = fc.integer({ min: 0, max: 2 * INACTIVE_MS_MAX });
const observation = fc
  .record({ validPpm: ppm, uptimePpm: ppm, inactiveMs: silence })
  .map((changes): Observation => seen(0, changes));

/** From a quorum up to all n - 1 others, of whom at most f lie; the liars stand anywhere. */
const observed = fc.integer({ min: 4, max: 40 }).chain((count) => {
  const liesMax = faultTolerance(count);
  return fc
    .record({
      lies: fc.array(observation, { maxLength: liesMax }),
      honest: fc.array(observation, { minLength: quorumSize(count), maxLength: count - 1 }),
      liesFirst: fc.boolean(),
    })
    .map(({ lies, honest, liesFirst }) => {
      const kept = honest.slice(0, Math.max(quorumSize(count) - lies.length, count - 1 - lies.length));
      return { count, honest: kept, all: liesFirst ? [...lies, ...kept] : [...kept, ...lies] };
    });
});

describe("reputation", () => {
  // [valid, uptime, reputation], in ppm
  test.each([
    [1_000_000, 1_000_000, 1_000_000],
    [1_000_000, 0, 700_000],
    [0, 1_000_000, 300_000],
    [999_999, 0, 699_999],
    [1, 1, 1],
    [0, 3, 0],
  ])("of %d valid and %d reachable is %d", (validPpm, uptimePpm, reputation) => {
    expect(reputationPpm(seen(0, { validPpm, uptimePpm }))).toBe(reputation);
  });

  test("costs the place below 0.7, and silence above five minutes", () => {
    const judged = (reputation: number, inactiveMs: number) => dismissalBy({ reputationPpm: reputation, inactiveMs });
    expect([judged(700_000, 300_000), judged(699_999, 0), judged(1_000_000, 300_001), judged(0, 300_001)]).toEqual([
      null,
      "reputation",
      "inactivity",
      "inactivity",
    ]);
  });
});

describe("a judgement", () => {
  test("waits for a quorum of others", () => {
    for (const count of [1, 2, 3, 4, 7, 10]) {
      const observations = (observers: number) => Array.from({ length: observers }, () => seen(0));
      expect(judge(count, observations(quorumSize(count) - 1))).toBeNull();
      expect(judge(count, observations(quorumSize(count)))).not.toBeNull();
    }
  });

  test("is the milder one of two middle values", () => {
    const observations = [1, 2, 3, 4].map((rank) =>
      seen(0, { validPpm: rank * 100_000, uptimePpm: rank * 100_000, inactiveMs: rank }),
    );
    expect(judge(5, observations)).toEqual({ reputationPpm: 300_000, inactiveMs: 2 });
  });

  test("lies between two honest ones, whatever f liars say", () => {
    fc.assert(
      fc.property(observed, ({ count, honest, all }) => {
        const judgement = judge(count, all);
        if (judgement === null) throw new Error("a quorum reported");
        const reputations = honest.map(reputationPpm);
        const silences = honest.map(({ inactiveMs }) => inactiveMs);
        expect(judgement.reputationPpm).toBeGreaterThanOrEqual(Math.min(...reputations));
        expect(judgement.reputationPpm).toBeLessThanOrEqual(Math.max(...reputations));
        expect(judgement.inactiveMs).toBeGreaterThanOrEqual(Math.min(...silences));
        expect(judgement.inactiveMs).toBeLessThanOrEqual(Math.max(...silences));
      }),
      { numRuns: 500 },
    );
  });

  test("does not mix the shares of two honest reports into a reputation that neither gives", () => {
    const observations = [
      seen(0, { validPpm: 1_000_000, uptimePpm: 0 }),
      seen(0, { validPpm: 600_000, uptimePpm: 1_000_000 }),
      seen(0, { validPpm: 0, uptimePpm: 0 }),
    ];
    expect(judge(4, observations)?.reputationPpm).toBe(REPUTATION_PPM_MIN);
  });
});
