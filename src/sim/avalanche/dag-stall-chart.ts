import { type Chart, chartSvg } from "../sampling/chart.ts";
import type { StallResult } from "./dag-stall.ts";

/** How many correct members prefer the first of a double spend, with and without the fallback, and how many have decided. */
export function stallChart(alone: StallResult, withFallback: StallResult, correct: number): string {
  const curve = (name: string, { looks }: StallResult, of: "first" | "decided"): Chart["curves"][number] => {
    return { name, points: looks.map((look) => [look.atMs / 1_000, look[of]]) };
  };
  return chartSvg({
    title: `A double spend, ${correct} correct validators, liars that keep them split`,
    xTitle: "virtual seconds",
    yTitle: "correct validators",
    curves: [
      curve("sampling alone: prefer the first", alone, "first"),
      curve("sampling alone: decided", alone, "decided"),
      curve("with votes and log: prefer the first", withFallback, "first"),
      curve("with votes and log: decided", withFallback, "decided"),
    ],
    xLog: false,
    yLog: false,
    yRange: [0, correct],
    xTicks: [0, 1, 2, 3, 4, 5, 6],
  });
}
