import { describe, expect, test } from "bun:test";
import { type MemoryFigures, measureMemory } from "./avalanche-memory.ts";
import { SCALE_DEFAULTS, type ScaleQuestion } from "./avalanche-scale.ts";

const SMALL: ScaleQuestion = { ...SCALE_DEFAULTS, nodes: 8, turnMs: 40, loadPerS: 500 };

/** What is weighed is at least the bytes that cannot be spared, and no wild multiple of them. */
function expectWeight({ enginePerNode, ownPerNode }: MemoryFigures, bytes: number): void {
  expect(enginePerNode).toBeGreaterThan(bytes);
  expect(enginePerNode).toBeLessThan(100 * bytes + 100e6);
  expect(enginePerNode).toBeGreaterThan(ownPerNode);
}

describe("the weight of an engine", () => {
  test("is taken once it has settled as many bundles as it is to keep", () => {
    const figures = measureMemory(SMALL, { silent: 0, untilMs: 10_000, settled: 100 });
    expect(figures.settledBundles).toBeGreaterThanOrEqual(100);
    expect(figures.ranMs).toBeLessThan(10_000);
    expectWeight(figures, 100 * 256);
  }, 60_000);

  test("holds all that is open where nothing is decided", () => {
    const figures = measureMemory(SMALL, { silent: 3, untilMs: 1_000 });
    expect([figures.finalized, figures.settledBundles, figures.ranMs]).toEqual([0, 0, 1_000]);
    expect(figures.openVertices).toBeGreaterThan(200);
    expectWeight(figures, figures.openVertices * 256);
  }, 60_000);
});
