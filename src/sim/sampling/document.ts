import type { SamplingModel } from "../../consensus/avalanche/snowball-chain.ts";
import type { SamplingAdversary } from "./adversary.ts";
import type { Chart } from "./chart.ts";
import {
  type FailureRow,
  failureRow,
  fewestThatHold,
  holdRounds,
  logFit,
  modelOf,
  ROUNDS_CASES,
  type RoundsRow,
  roundsTable,
  type StallRow,
  stallRow,
} from "./tables.ts";

/** What docs/avalanche-parameters.md shows: each table as Markdown by its name, each plot by its file. */
export interface SamplingDocument {
  readonly tables: Readonly<Record<"rounds" | "failures" | "stall" | "shares", string>>;
  readonly plots: Readonly<Record<"avalanche-rounds.svg" | "avalanche-hold.svg", Chart>>;
}

const SIZES = [4, 7, 10, 20, 50, 100, 200, 500, 1_000] as const;
const SEED = 20_190_608;

/** A tenth of all runs makes a quick check of the method. */
export function samplingDocument(runsOf = 1): SamplingDocument {
  const runs = (count: number): number => Math.max(1, Math.round(count * runsOf));
  const rounds = roundsTable(SIZES, runs(40), SEED);
  const stall = STALLED.map(([nodes, byzantine]) => stallRow(nodes, byzantine, runs(20), SEED));
  return {
    tables: {
      rounds: roundsMarkdown(rounds),
      failures: failuresMarkdown(
        FAILING.map(([model, adversary, count]) => failureRow(model, adversary, runs(count), SEED)),
      ),
      stall: stallMarkdown(stall),
      shares: sharesMarkdown(),
    },
    plots: { "avalanche-rounds.svg": roundsChart(rounds), "avalanche-hold.svg": holdChart() },
  };
}

const model = (
  nodes: number,
  byzantine: number,
  sampleSize: number,
  preferenceThreshold: number,
  confidenceThreshold: number,
  beta: number,
): SamplingModel => ({ nodes, byzantine, sampleSize, preferenceThreshold, confidenceThreshold, beta });

/** Parameters so weak that sampling fails often enough to be counted; the last ones have too many states for the chain. */
const FAILING: readonly (readonly [SamplingModel, SamplingAdversary, number])[] = [
  [model(16, 1, 10, 6, 8, 2), "tip", 40_000],
  [model(16, 3, 10, 6, 7, 2), "silent", 40_000],
  [model(16, 3, 10, 6, 7, 2), "split", 20_000],
  [model(16, 3, 10, 6, 7, 2), "tip", 10_000],
  [model(20, 4, 10, 6, 7, 2), "split", 10_000],
  [model(20, 4, 10, 6, 8, 2), "split", 5_000],
  [model(20, 4, 10, 6, 8, 2), "tip", 5_000],
  [model(16, 5, 10, 6, 7, 3), "tip", 5_000],
  [model(50, 10, 10, 6, 7, 2), "silent", 40_000],
  [model(50, 16, 10, 6, 7, 2), "silent", 40_000],
  [model(50, 5, 10, 6, 8, 5), "tip", 4_000],
  [model(50, 10, 10, 6, 7, 3), "tip", 2_000],
  [model(50, 10, 10, 6, 8, 5), "tip", 1_000],
  [model(50, 5, 20, 11, 16, 3), "tip", 4_000],
  [model(100, 10, 20, 11, 16, 3), "tip", 2_000],
  [model(100, 20, 10, 6, 7, 5), "tip", 1_000],
  [model(100, 33, 10, 6, 8, 5), "tip", 300],
];

const STALLED: readonly (readonly [nodes: number, byzantine: number])[] = [0, 5, 8, 10, 12, 15, 20, 25, 33].map(
  (byzantine) => [100, byzantine],
);

function roundsMarkdown(rows: readonly RoundsRow[]): string {
  const table = markdown(
    ["N", "k", ...ROUNDS_CASES.map(({ name }) => name)],
    rows.map(({ nodes, sampleSize, cells }) => [
      String(nodes),
      String(sampleSize),
      ...cells.map(({ mean, most, ended, runs }) =>
        mean === null
          ? "none ended"
          : `${mean.toFixed(1)} (${most})${ended < runs ? `, ${ended} of ${runs} ended` : ""}`,
      ),
    ]),
  );
  const fits = ROUNDS_CASES.flatMap(({ name, share }, index) => {
    // Below 20 another rule is at work; where runs did not end, a fit of the others would say nothing.
    const points = rows.flatMap(({ nodes, cells }) => {
      const mean = cells[index]?.mean ?? null;
      return nodes < 20 || mean === null ? [] : [[nodes, mean] as const];
    });
    if (share === 0.05) return [];
    const { at1, perDoubling, r2 } = logFit(points);
    return [`- ${name}: ${at1.toFixed(1)} + ${perDoubling.toFixed(2)} log2 N (R² ${r2.toFixed(2)})`];
  });
  return `${table}\n\nLeast squares over N = 20 to 1,000:\n\n${fits.join("\n")}`;
}

function failuresMarkdown(rows: readonly FailureRow[]): string {
  return markdown(
    ["N", "F", "k", "alphas", "beta", "adversary", "measured", "95 % interval", "exact", "bound"],
    rows.map(({ model, adversary, runs, failures, interval: [low, high], exact, bound }) => [
      String(model.nodes),
      String(model.byzantine),
      String(model.sampleSize),
      `${model.preferenceThreshold}, ${model.confidenceThreshold}`,
      String(model.beta),
      adversary,
      `${failures} of ${runs}`,
      `${short(low)} .. ${short(high)}`,
      exact === null ? "too many states" : `${short(exact)}${exact < low || exact > high ? " *" : ""}`,
      short(bound),
    ]),
  );
}

function stallMarkdown(rows: readonly StallRow[]): string {
  const rounds = (value: number | null): string => (value === null ? "> 1,000" : value.toFixed(0));
  return markdown(
    [
      "N",
      "F",
      "computed: rounds until all prefer the same",
      "measured: all decided, one by one",
      "in rounds",
      "nobody decided",
      "decided differently",
    ],
    rows.map(({ nodes, byzantine, computed, oneByOne, inRounds, undecided, split, runs }) => [
      String(nodes),
      String(byzantine),
      short(computed),
      rounds(oneByOne),
      rounds(inRounds),
      `${undecided} of ${runs}`,
      `${split} of ${runs}`,
    ]),
  );
}

function sharesMarkdown(): string {
  return markdown(
    ["N", "k", "10 rounds", "100 rounds", "1,000 rounds"],
    [30, 50, 100, 200, 500, 1_000].map((nodes) => [
      String(nodes),
      String(modelOf(nodes, 0).sampleSize),
      ...[10, 100, 1_000].map((rounds) => {
        const fewest = fewestThatHold(nodes, rounds);
        if (fewest === null) return "none of those tolerated";
        return fewest === 0 ? "0 (a tie stays)" : `${fewest} (${((100 * fewest) / nodes).toFixed(1)} %)`;
      }),
    ]),
  );
}

function roundsChart(rows: readonly RoundsRow[]): Chart {
  return {
    title: "Rounds until the last correct validator has decided (mean)",
    xTitle: "validators",
    yTitle: "rounds",
    xLog: true,
    yLog: false,
    yRange: [0, 60],
    xTicks: SIZES,
    curves: ROUNDS_CASES.map(({ name }, index) => ({
      name,
      points: rows.flatMap(({ nodes, cells }) => {
        const mean = cells[index]?.mean ?? null;
        return mean === null ? [] : [[nodes, mean] as const];
      }),
    })),
  };
}

const HOLD_SHOWN_MAX = 1e9;

function holdChart(): Chart {
  return {
    title: "Rounds for which rebalancing holds an even split, expected (computed)",
    xTitle: "Byzantine share in percent (cut off above 1e9)",
    yTitle: "rounds",
    xLog: false,
    yLog: true,
    yRange: [1, HOLD_SHOWN_MAX],
    xTicks: [0, 5, 10, 15, 20, 25, 30],
    curves: [50, 100, 200, 500, 1_000].map((nodes) => ({
      name: `${nodes} validators`,
      points: holdPoints(nodes),
    })),
  };
}

/** Up to a third, and no further than the first point beyond the chart. */
function holdPoints(nodes: number): readonly (readonly [number, number])[] {
  const points: [number, number][] = [];
  for (let byzantine = 0; byzantine <= nodes / 3; byzantine += Math.ceil(nodes / 200)) {
    const rounds = holdRounds(nodes, byzantine);
    points.push([(100 * byzantine) / nodes, rounds]);
    if (rounds > HOLD_SHOWN_MAX) break;
  }
  return points;
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function short(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "for ever";
  if (value === 0 || value === 1) return String(value);
  return value >= 1e-3 && value < 1e5 ? String(Number(value.toPrecision(3))) : value.toExponential(1).replace("+", "");
}
