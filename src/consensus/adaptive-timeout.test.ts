import { describe, expect, test } from "bun:test";
import { AdaptiveTimeout } from "./adaptive-timeout.ts";

const LIMITS = { floorMs: 100, initialMs: 1_000, capMs: 5_000 };

describe("a leader's time", () => {
  test("starts at the initial value, follows the finality that is seen, and stays above the floor", () => {
    const timeout = new AdaptiveTimeout(LIMITS);
    expect(timeout.currentMs()).toBe(1_000);
    timeout.onMeasured(20);
    expect(timeout.currentMs()).toBe(8 * (20 + 4 * 10));
    for (let place = 0; place < 50; place++) timeout.onMeasured(1);
    expect(timeout.currentMs()).toBe(100);
  });

  test("never grows above the initial value because a leader is slow: being slow buys no time", () => {
    const timeout = new AdaptiveTimeout(LIMITS);
    for (let place = 0; place < 50; place++) timeout.onMeasured(900);
    expect(timeout.currentMs()).toBe(1_000);
  });

  test("doubles with every view that fails, is capped, and shrinks with progress", () => {
    const timeout = new AdaptiveTimeout(LIMITS);
    const waits = Array.from({ length: 40 }, () => {
      timeout.onFailure();
      return timeout.currentMs();
    });
    expect(waits.slice(0, 4)).toEqual([2_000, 4_000, 5_000, 5_000]);
    expect(waits.at(-1)).toBe(5_000);
    timeout.onProgress();
    expect(timeout.currentMs()).toBe(1_000);
  });
});
