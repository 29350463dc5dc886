import { type AvalancheParams, deriveParams } from "../../consensus/avalanche/params.ts";
import type { EngineCosts } from "./avalanche-charges.ts";
import { ScaleNetwork } from "./avalanche-network.ts";
import { type CostTable, REFERENCE_COSTS } from "./cost-table.ts";

/** A load on a network of so many validators, and what is to be measured of it. Times in virtual milliseconds. */
export interface ScaleQuestion {
  readonly nodes: number;
  readonly loadPerS: number;
  readonly turnMs: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
  readonly seed: number;
  readonly params: Partial<AvalancheParams>;
  readonly costs: CostTable;
  readonly engineCosts: EngineCosts;
}

export interface ScaleFigures {
  readonly nodes: number;
  readonly turnMs: number;
  readonly loadPerS: number;
  /** Final and durable at the nodes of their clients, in the whole network. */
  readonly finalPerS: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Polls about a bundle until it is final, on average. */
  readonly polls: number;
  /** Use of the mean and of the busiest node's event loop, and of all its cores; 1 is all of them. */
  readonly loop: number;
  readonly loopMost: number;
  readonly cores: number;
  readonly disk: number;
  readonly bytesOutPerS: number;
  readonly bytesInPerS: number;
  readonly fetched: number;
  /** What the engines' steps took on this machine to what was charged for them. */
  readonly measuredToCharged: number;
  /** The event loop of the engine alone, as charged. */
  readonly engine: number;
}

/**
 * Near the lines that `StepMeter` put through the steps of 100 nodes under 5,200 vertices a second, between 1.4 and 1.7 s, on the
 * machine of `REFERENCE_COSTS`, all engines in one process. Timers are charged as in small networks. Later steps of 100 nodes took
 * up to 1.34 times as long, those of up to 20 nodes 0.62 to 0.73: `measuredToCharged` says it for each run.
 */
export const REFERENCE_ENGINE_COSTS: EngineCosts = {
  query: { fixedUs: 10, perUnitUs: 0.07 },
  answer: { fixedUs: 60, perUnitUs: 0 },
  votes: { fixedUs: 3, perUnitUs: 0.8 },
  bundles: { fixedUs: 25, perUnitUs: 0.1 },
  timer: { fixedUs: 100, perUnitUs: 0 },
};

/** Runs the network through the warm-up and measures the window after it; what is final in it counts, whenever it was submitted. */
export function measureScale(question: ScaleQuestion): ScaleFigures & { readonly engineCosts: EngineCosts } {
  const { nodes, loadPerS, turnMs, warmUpMs, measureMs, seed, costs, engineCosts } = question;
  const network = new ScaleNetwork({
    nodes,
    params: deriveParams(nodes, question.params),
    turnMs,

    loadPerS,
    payloadBytes: 256,
    silent: 0,
    seed,
    costs,
    engineCosts,
    copying: 0,
  });
  network.run(warmUpMs);
  network.meter.clear();
  for (const { machine } of network.nodes) machine.clear();
  const endMs = warmUpMs + measureMs;
  network.run(endMs);
  const seconds = measureMs / 1_000;
  const uses = network.nodes.map(({ machine }) => ({ ...machine.use }));
  const compared = network.meter.compare(engineCosts);
  const measured = network.meter.costs();
  const inWindow = network.finals.filter(({ atMs }) => atMs > warmUpMs && atMs <= endMs);
  const latencies = inWindow.map(({ atMs, submittedMs }) => atMs - submittedMs).sort((left, right) => left - right);
  const quantile = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? Number.NaN;
  const mean = (pick: (use: (typeof uses)[number]) => number): number =>
    uses.reduce((sum, use) => sum + pick(use), 0) / nodes / seconds;
  return {
    nodes,
    turnMs,

    loadPerS,
    finalPerS: inWindow.length / seconds,
    p50Ms: quantile(0.5),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
    polls: inWindow.reduce((sum, { polls }) => sum + polls, 0) / Math.max(1, inWindow.length),
    loop: mean(({ loopUs }) => loopUs) / 1e6,
    loopMost: Math.max(...uses.map(({ loopUs }) => loopUs)) / seconds / 1e6,
    cores: mean(({ loopUs, poolUs }) => loopUs + poolUs) / 1e6 / costs.coresPerNode,
    disk: mean(({ diskUs }) => diskUs) / 1e6,
    bytesOutPerS: mean(({ bytesOut }) => bytesOut),
    bytesInPerS: mean(({ bytesIn }) => bytesIn),
    fetched: network.fetched,
    measuredToCharged: compared.measuredUs / compared.chargedUs,
    engine: compared.chargedUs / nodes / seconds / 1e6,
    engineCosts: measured,
  };
}

export const SCALE_DEFAULTS: Omit<ScaleQuestion, "nodes" | "turnMs"> = {
  loadPerS: 5_200,
  // The first vertices of 100 validators are final after a second: two more, and the network is in its steady state.
  warmUpMs: 3_000,
  measureMs: 1_000,
  seed: 1,
  params: {},
  costs: REFERENCE_COSTS,
  engineCosts: REFERENCE_ENGINE_COSTS,
};
