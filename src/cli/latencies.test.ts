import { describe, expect, test } from "bun:test";
import { Latencies } from "./latencies.ts";

function of(count: number): Latencies {
  const latencies = new Latencies();
  for (let ms = 1; ms <= count; ms++) latencies.add(ms);
  return latencies;
}

describe("latencies", () => {
  test("have no summary before the first", () => {
    expect(of(0).summary()).toBeNull();
    expect(String(of(0))).toBe("");
  });

  test("are summed up by nearest rank", () => {
    expect(of(1).summary()).toEqual({ p50: 1, p95: 1, p99: 1, max: 1 });
    expect(of(100).summary()).toEqual({ p50: 50, p95: 95, p99: 99, max: 100 });
    expect(String(of(100))).toBe("finality p50 50 ms, p95 95 ms, p99 99 ms, slowest 100 ms");
  });

  test("stay right within a hundredth when there are more than are kept, and the slowest exact", () => {
    const count = 400_001;
    const summary = of(count).summary();
    for (const [share, at] of [
      [0.5, summary?.p50],
      [0.95, summary?.p95],
      [0.99, summary?.p99],
    ] as const) {
      expect(Math.abs((at ?? 0) / count - share)).toBeLessThan(0.001);
    }
    expect(summary?.max).toBe(count);
  });
});
