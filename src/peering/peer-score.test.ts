import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BAN_PPM, PeerScore, SCORE_MAX_PPM, THROTTLE_PPM, VIOLATION_RULES, VIOLATION_TYPES } from "./peer-score.ts";

function repeat(score: PeerScore, type: Parameters<PeerScore["record"]>[0], times: number, nowMs = 0): number {
  let counted = 0;
  for (let round = 0; round < times; round++) if (score.record(type, nowMs)) counted += 1;
  return counted;
}

describe("a score", () => {
  test("is whole at first, falls by each violation's cost, and stays from 0 to a million", () => {
    const score = new PeerScore(0);
    expect(score.ppm(0)).toBe(SCORE_MAX_PPM);
    expect(score.record("malformed", 0)).toBe(true);
    expect(score.ppm(0)).toBe(800_000);
    repeat(score, "malformed", 50);
    expect(score.ppm(0)).toBe(0);
    expect(score.counts()).toEqual({ malformed: 51 });
    expect(score.ppm(10 * 3_600_000)).toBe(SCORE_MAX_PPM);
  });

  test("passes through the states of document 3 on its way down, and back with time alone", () => {
    const score = new PeerScore(0);
    const states = [];
    for (let round = 0; round <= 8; round++) {
      states.push(score.standing(0));
      score.record("out-of-order", 0);
    }
    const expected = [
      "good",
      "good",
      "good",
      "good",
      "graylisted",
      "graylisted",
      "throttled",
      "throttled",
      "condemned",
    ];
    expect(states).toEqual(expected);
    expect(score.standing(3_600_000)).toBe("good");
  });

  test("recovers linearly: whole from nothing in an hour", () => {
    const score = new PeerScore(0);
    repeat(score, "invalid-signature", 4);
    expect(score.ppm(0)).toBe(0);
    expect(score.ppm(1_800_000)).toBe(500_000);
    expect(score.ppm(3_600_000)).toBe(SCORE_MAX_PPM);
  });

  test("does not fall for what is within a correct peer's allowance", () => {
    const score = new PeerScore(0);
    const burst = VIOLATION_RULES.replay.allowance?.burst ?? 0;
    expect(repeat(score, "replay", burst)).toBe(0);
    expect(score.ppm(0)).toBe(SCORE_MAX_PPM);
    expect(repeat(score, "replay", 10)).toBe(10);
    expect(score.ppm(0)).toBe(SCORE_MAX_PPM - 10 * VIOLATION_RULES.replay.costPpm);
    expect(repeat(score, "replay", 1_000, 500)).toBe(0);
  });

  test("a floor holds whatever the number, and lifts no score that is below it", () => {
    const score = new PeerScore(0);
    repeat(score, "timeout", 1_000);
    expect(score.ppm(0)).toBe(THROTTLE_PPM);
    repeat(score, "malformed", 2);
    expect(score.ppm(0)).toBe(100_000);
    repeat(score, "timeout", 5);
    expect(score.ppm(0)).toBe(100_000);
  });

  test("is never lifted by a violation, and never asks for a ban over time-outs and clocks alone", () => {
    const events = fc.array(fc.tuple(fc.constantFrom(...VIOLATION_TYPES), fc.nat({ max: 60_000 })), { maxLength: 60 });
    fc.assert(
      fc.property(events, fc.boolean(), (list, onlySoft) => {
        const score = new PeerScore(0);
        let nowMs = 0;
        for (const [type, laterMs] of list) {
          if (onlySoft && type !== "timeout" && type !== "timestamp") continue;
          nowMs += laterMs;
          const before = score.ppm(nowMs);
          score.record(type, nowMs);
          expect(score.ppm(nowMs)).toBeLessThanOrEqual(before);
          if (onlySoft) expect(score.ppm(nowMs)).toBeGreaterThanOrEqual(BAN_PPM);
        }
      }),
    );
  });

  test("of a correct peer at its worst for an hour never asks for a ban, nor for being throttled", () => {
    const score = new PeerScore(0);
    const standings = new Set<string>();
    for (let second = 0; second < 3_600; second++) {
      const nowMs = second * 1_000;
      // Five statuses answered in full, a new view wanted every second, no answer ever, and a clock that is wrong.
      repeat(score, "replay", 5 * (96 + 64), nowMs);
      for (const type of ["view-change-spam", "timeout", "timestamp"] as const) score.record(type, nowMs);
      standings.add(score.standing(nowMs));
    }
    expect([...standings]).toEqual(["good", "graylisted"]);
    expect(Object.keys(score.counts()).sort()).toEqual(["timeout", "timestamp"]);
  });
});
