import type { Chart } from "./chart.ts";
import { type NetworkFigures, networkFigures } from "./figures.ts";

/** The figures as lines for people. */
export function figuresReport(figures: NetworkFigures): string {
  const { nodes, byzantine, tolerated, params } = figures;
  return [
    `${nodes} ${plural(nodes, "validator")}, ${byzantine} of them Byzantine (${percent(byzantine / nodes)}; ${tolerated} tolerated)`,
    "",
    "Parameters, valid",
    `  k (sampleSize)             ${params.sampleSize}`,
    `  alpha                      ${params.confidenceThreshold} to count (confidenceThreshold), ${params.preferenceThreshold} to move a preference (preferenceThreshold)`,
    `  beta                       ${params.beta}, ${params.earlyBeta} where no rival is known (earlyBeta)`,
    `  finalizationPpm            ${params.finalizationPpm}`,
    `  maxRounds                  ${params.maxRounds}`,
    "",
    ...regime(figures),
    "",
    ...safety(figures),
    "",
    ...liveness(figures),
    "",
    ...certificates(figures),
  ].join("\n");
}

function regime({ nodes, params }: NetworkFigures): readonly string[] {
  if (params.sampleSize < nodes)
    return ["Regime: a poll asks a sample, so sampling alone agrees with a probability, which follows."];
  if (params.preferenceThreshold === params.confidenceThreshold && nodes < 20)
    return [
      "Regime: a poll asks every validator and succeeds by the quorum of agreement. Nothing is left to",
      "chance: two correct validators cannot decide differently while no more lie than are tolerated.",
    ];
  return ["Regime: a poll asks every validator. What it finds depends on no draw, only on who answers what."];
}

function safety({
  safety: { probability, pointOfNoReturn, ...parts },
  params,
  nodes,
  byzantine,
}: NetworkFigures): readonly string[] {
  return [
    "Safety of sampling alone: two conflicting vertices decided at different correct validators",
    `  probability at most        ${chance(probability)}   (upper bound, any answers of the ${byzantine}, one conflict, ${params.maxRounds} rounds)`,
    `    decided before ${`${pointOfNoReturn} of ${nodes - byzantine}`.padEnd(12)}${chance(parts.decidedEarly)}   (correct ones that prefer the same)`,
    `    that majority lost again ${chance(parts.returned)}`,
    `    decided against it       ${chance(parts.decidedAgainst)}`,
  ];
}

function liveness({
  liveness: { pollSucceeds, expectedPolls, unfinished },
  conflict,
  params,
  nodes,
  byzantine,
}: NetworkFigures): readonly string[] {
  const { maxRounds } = params;
  const shift = conflict.phaseShift === null ? "none" : `${conflict.phaseShift} of ${nodes - byzantine}`;
  return [
    "Liveness of sampling alone",
    `  a vertex without conflict, ${byzantine} silent or answering no (exact)`,
    `    a poll succeeds          ${chance(pollSucceeds)}`,
    `    expected polls           ${count(expectedPolls)}`,
    `    not done after ${String(maxRounds).padEnd(10)}${chance(unfinished)}`,
    `  two conflicting vertices, ${byzantine} rebalancing from an even split (exact for that adversary, the most for any)`,
    `    held for                 ${count(conflict.expectedHold)} polls of each, in expectation`,
    `    not alike after ${String(Math.min(maxRounds, 1_000)).padEnd(9)}${chance(conflict.stillSplit)}`,
    `    point of no return       ${shift}   (a majority that is lost again with 1e-9 at most)`,
  ];
}

function certificates({ nodes, byzantine, tolerated, quorum }: NetworkFigures): readonly string[] {
  const agrees = byzantine <= tolerated;
  return [
    `Certificates: final is what ${quorum} of ${nodes} validators have accepted and committed, not what one of them sampled`,
    agrees
      ? `  agreement is certain       ${byzantine} <= ${tolerated}: any two quorums share a correct validator. The probability above is`
      : `  AGREEMENT IS NOT CERTAIN   ${byzantine} > ${tolerated}: two quorums may share liars only. This network needs ${3 * byzantine + 1} validators`,
    agrees
      ? "                             about sampling alone: how often votes start apart, not how often the network forks"
      : "                             to bear so many",
    nodes - byzantine >= quorum
      ? `  what sampling leaves open  ends after resolveAfterMs: the ${nodes - byzantine} correct ones are a quorum, and the ordered log decides`
      : `  NOT LIVE without the ${byzantine}    the ${nodes - byzantine} others are no quorum of ${quorum}`,
  ];
}

/** Expected polls and the bound of disagreement by the Byzantine share, up to a third. */
export function figuresChart({ nodes, params }: NetworkFigures): Chart {
  const highest = Math.max(1, Math.floor(nodes / 3));
  const steps = Math.min(highest, 40);
  const counts = [...new Set(Array.from({ length: steps + 1 }, (_, step) => Math.round((step * highest) / steps)))];
  // What the chart does not show is not followed for long.
  const quick = { ...params, maxRounds: Math.min(params.maxRounds, 1_000) };
  const all = counts.map((byzantine) => [byzantine, networkFigures(nodes, byzantine, quick, 0)] as const);
  const of = (figure: (figures: NetworkFigures) => number): readonly (readonly [number, number])[] =>
    all.map(([byzantine, figures]) => [byzantine, figure(figures)]);
  const ticks = Math.max(1, Math.ceil(highest / 10));
  return {
    title: `Sampling alone: ${nodes} validators, k ${params.sampleSize}, alpha ${params.preferenceThreshold} and ${params.confidenceThreshold}, beta ${params.beta}`,
    xTitle: "Byzantine validators (cut off above 1e15 and below 1e-15)",
    yTitle: "probability; polls of one validator",
    xLog: false,
    yLog: true,
    yRange: [1e-15, 1e15],
    xTicks: counts.filter((byzantine) => byzantine % ticks === 0),
    curves: [
      { name: "two decide differently (upper bound)", points: of(({ safety }) => safety.probability) },
      { name: "polls, no conflict, they are silent", points: of(({ liveness: { expectedPolls } }) => expectedPolls) },
      { name: "polls that a conflict is held by rebalancing", points: of(({ conflict }) => conflict.expectedHold) },
    ],
  };
}

function chance(value: number): string {
  const text =
    value === 0 || value === 1
      ? String(value)
      : value >= 1e-3 && value < 0.9995
        ? value.toPrecision(3)
        : value.toExponential(1);
  return (value > 0.9995 && value < 1 ? "> 0.9995" : text).padEnd(9);
}

function count(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "for ever";
  return value < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(1);
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

function plural(number: number, word: string): string {
  return number === 1 ? word : `${word}s`;
}
