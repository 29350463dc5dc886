import { describe, expect, test } from "bun:test";
import { type Chart, chartSvg, chartText } from "./chart.ts";
import { networkFigures, paramsOf } from "./figures.ts";
import { failureRow, fewestThatHold, holdRounds, logFit, modelOf, roundsTable, stallRow, wilson } from "./tables.ts";

describe("the tables", () => {
  test("without conflict every size decides after beta rounds; with one, sizes above 20 a few rounds later", () => {
    for (const { cells } of roundsTable([7, 50, 100], 4, 1)) {
      expect(cells[0]).toEqual({ mean: 20, most: 20, ended: 4, runs: 4 });
      const conflict = cells[1]?.mean ?? 20;
      expect(conflict).toBeGreaterThanOrEqual(20);
      expect(conflict).toBeLessThan(30);
    }
  });

  test("a row of failures holds the exact figure within the interval of the measured one", () => {
    const model = { nodes: 16, byzantine: 3, sampleSize: 10, preferenceThreshold: 6, confidenceThreshold: 7, beta: 2 };
    const { failures, interval, exact, bound } = failureRow(model, "tip", 1_000, 3);
    expect(failures).toBeGreaterThan(0);
    expect(exact).toBeGreaterThan(interval[0]);
    expect(exact).toBeLessThan(interval[1]);
    expect(bound).toBe(1);
  });

  test("a fifth of 100 that rebalances holds them; a twentieth does not", () => {
    expect(stallRow(100, 20, 2, 1)).toMatchObject({ oneByOne: null, inRounds: null, undecided: 2 });
    const few = stallRow(100, 5, 3, 1);
    expect(few.oneByOne).toBeLessThan(100);
    expect(few.inRounds).toBeLessThan(100);
  });

  test("the fewest that hold for so many rounds are the fewest", () => {
    const fewest = fewestThatHold(100, 1_000) ?? 0;
    expect(holdRounds(100, fewest)).toBeGreaterThanOrEqual(1_000);
    expect(holdRounds(100, fewest - 1)).toBeLessThan(1_000);
    expect(fewestThatHold(4, 1)).toBe(0);
  });

  test("an interval widens with fewer runs and is open to neither side of 0 and 1", () => {
    const [low, high] = wilson(50, 100);
    // Wilson 1927, by hand: (0.5 +- 1.96 sqrt(0.0025 + 0.000096)) / 1.0384 around 0.5.
    expect(low).toBeCloseTo(0.4038, 4);
    expect(high).toBeCloseTo(0.5962, 4);
    expect(wilson(0, 10)[0]).toBe(0);
    expect(wilson(0, 10)[1]).toBeGreaterThan(wilson(0, 100)[1]);
  });

  test("a fit finds the line that points lie on", () => {
    const { at1, perDoubling, r2 } = logFit([2, 4, 8, 64].map((x) => [x, 3 + 2 * Math.log2(x)] as const));
    expect([at1, perDoubling, r2].map((value) => Number(value.toFixed(9)))).toEqual([3, 2, 1]);
  });
});

describe("the figures of a network", () => {
  test("are certain where everyone is asked, and say what is wrong with parameters instead of computing", () => {
    const params = paramsOf(7, {});
    if (typeof params === "string") throw new Error(params);
    const figures = networkFigures(7, 2, params);
    expect(figures).toMatchObject({
      tolerated: 2,
      quorum: 5,
      safety: { probability: 0 },
      liveness: { expectedPolls: 20 },
    });
    expect(paramsOf(7, { sampleSize: 8 })).toStartWith("sampleSize is 8");
  });

  test("of 100 with 20 silent need the polls of the hypergeometric tail, and are held by as many for far longer", () => {
    const { sampleSize } = modelOf(100, 20);
    const params = paramsOf(100, {});
    if (typeof params === "string") throw new Error(params);
    const { liveness, conflict, safety } = networkFigures(100, 20, params, 10);
    expect(sampleSize).toBe(30);
    expect(liveness.expectedPolls).toBeCloseTo(43_250, -2);
    expect(conflict.expectedHold).toBeGreaterThan(1e6);
    expect(conflict.stillSplit).toBeGreaterThan(0.999);
    expect(safety.probability).toBeGreaterThan(0.001);
    expect(safety.probability).toBeLessThan(0.1);
  });
});

describe("a chart", () => {
  const chart: Chart = {
    title: "a < b",
    xTitle: "x",
    yTitle: "y",
    xLog: false,
    yLog: true,
    yRange: [1e-3, 1e3],
    xTicks: [0, 10],
    curves: [
      {
        name: "up",
        points: [
          [0, 1e-9],
          [5, 1],
          [10, 1e9],
        ],
      },
      {
        name: "flat",
        points: [
          [0, 1],
          [10, 1],
        ],
      },
    ],
  };

  test("keeps what is too large or too small at the edge, and escapes words", () => {
    const svg = chartSvg(chart);
    expect(svg).toContain("a &lt; b");
    expect(svg).not.toContain("NaN");
    const points =
      /points="([^"]+)"/
        .exec(svg)?.[1]
        ?.split(" ")
        .map((point) => point.split(",").map(Number)) ?? [];
    const [bottom = 0, middle = 0, top = 0] = points.map(([, y]) => y ?? 0);
    expect(middle).toBeCloseTo((bottom + top) / 2, 0);
    expect(svg).toContain(`y1="${bottom.toFixed(1)}"`);
  });

  test("in a terminal rises from the lower left to the upper right", () => {
    const lines = chartText(chart, 20, 5).split("\n").slice(1, 6);
    expect(lines[0]?.indexOf("a")).toBeGreaterThan(lines[4]?.indexOf("a") ?? 99);
    expect(lines[2]).toContain("b");
  });
});
