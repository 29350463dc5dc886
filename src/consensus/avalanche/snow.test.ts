import { describe, expect, test } from "bun:test";
import { Snow } from "./snow.ts";

const THRESHOLDS = { preference: 3, confidence: 4 };

function polled(...votes: readonly number[]): Snow {
  const snow = new Snow();
  for (const yes of votes) snow.onPoll(yes, THRESHOLDS);
  return snow;
}

describe("the moving average of confidence", () => {
  test("starts at the first poll's ratio, so that perfect polls are enough at once (correction 4)", () => {
    expect(polled(4).confidencePpm).toBe(1_000_000);
    expect(polled(2).confidencePpm).toBe(500_000);
  });

  test("takes nine tenths of the old value and one tenth of the new", () => {
    expect(polled(4, 0).confidencePpm).toBe(900_000);
    expect(polled(4, 0, 2).confidencePpm).toBe(860_000);
  });

  test("is whole where the threshold is reached: silent validators beyond it lower nothing", () => {
    expect(polled(4, 4, 4).confidencePpm).toBe(polled(6, 5, 4).confidencePpm);
  });
});

describe("Snowball's counters", () => {
  test("a success is counted at the preference's threshold, one towards beta at the confidence's", () => {
    const snow = polled(3, 4, 4);
    expect(snow.successes).toBe(3);
    expect(snow.inRow).toBe(2);
  });

  test("a poll below the threshold begins the row anew", () => {
    expect(polled(4, 4, 3).inRow).toBe(0);
    expect(polled(4, 4, 3, 4).inRow).toBe(1);
  });

  test("a flip begins the row anew and forgets no success", () => {
    const snow = polled(4, 4);
    snow.reset();
    expect(snow.inRow).toBe(0);
    expect(snow.successes).toBe(2);
  });

  test("what is counted apart from now on begins with what it shared", () => {
    const shared = polled(4, 4, 2);
    const apart = shared.copy();
    shared.onPoll(4, THRESHOLDS);
    expect({ ...apart }).toEqual({ ...polled(4, 4, 2) });
    expect(shared.polls).toBe(4);
  });
});
