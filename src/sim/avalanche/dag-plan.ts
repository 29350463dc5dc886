import { type AvalancheParams, deriveParams } from "../../consensus/avalanche/params.ts";
import { faultTolerance } from "../../membership/quorum.ts";
import type { ValidatorIndex } from "../../membership/ids.ts";
import { Random } from "../random.ts";
import { DAG_ADVERSARIES, type DagAdversaryName } from "./dag-behaviour.ts";
import type { DagWeather } from "./dag-cluster-options.ts";

export interface DagPlanWords {
  readonly seed: number;
  /** Default: drawn, 4 to 13. */
  readonly nodes?: number;
  /** Default: f of the nodes, less in some runs. */
  readonly byzantine?: number;
  /** Default: drawn. */
  readonly adversary?: DagAdversaryName;
}

/** One run: everything that goes wrong in it, by virtual time in milliseconds. */
export interface DagPlan {
  readonly seed: number;
  readonly nodes: number;
  readonly liars: readonly ValidatorIndex[];
  readonly adversary: DagAdversaryName;
  readonly params: AvalancheParams;
  readonly weather: DagWeather;
  /** Null: no log, so that nothing but sampling and patience decides. */
  readonly logMs: number | null;
  /** Faults and new bundles end here. */
  readonly chaosMs: number;
  /** After that everything must be decided within so long. */
  readonly settleMs: number;
  readonly partitions: readonly {
    readonly fromMs: number;
    readonly untilMs: number;
    readonly minority: readonly ValidatorIndex[];
  }[];
  readonly crashes: readonly {
    readonly member: ValidatorIndex;
    readonly atMs: number;
    readonly untilMs: number;
    /** It ends in the middle of a step, after so many effects; null: between two. */
    readonly effects: number | null;
  }[];
  /** `gone`: who is replaced by a newcomer; null: the same set goes on. */
  readonly epochs: readonly { readonly atMs: number; readonly gone: ValidatorIndex | null }[];
  /** Bundles of correct members' clients. */
  readonly bundles: number;
}

const SIZES = [4, 4, 4, 4, 5, 5, 6, 7, 7, 7, 10];
const CHAOS_MS = 6_000;
const SETTLE_MS = 45_000;

/** The plan of a seed; the same words give the same plan. */
export function dagPlanOf(words: DagPlanWords): DagPlan {
  const { seed } = words;
  const random = Random.of(seed, 0xda9);
  const nodes = words.nodes ?? random.pick(SIZES);
  const drawn = random.chance(0.15) ? random.below(faultTolerance(nodes) + 1) : faultTolerance(nodes);
  const byzantine = words.byzantine ?? drawn;
  const all = Array.from({ length: nodes }, (_, index) => index as ValidatorIndex);
  const shuffled = random.shuffled(all);
  const liars = [...shuffled.slice(0, byzantine)].sort((left, right) => left - right);
  const correct = shuffled.slice(byzantine);
  const delayMaxMs = random.pick([20, 50, 100, 300]);
  return {
    seed,
    nodes,
    liars,
    adversary: words.adversary ?? random.pick(DAG_ADVERSARIES),
    params: paramsOf(nodes, delayMaxMs, random),
    weather: { delayMinMs: random.between(1, 15), delayMaxMs, lossPermille: random.pick([0, 0, 10, 50, 150]) },
    logMs: random.between(20, 400),
    chaosMs: CHAOS_MS,
    settleMs: SETTLE_MS,
    partitions: random.chance(0.3) ? [partitionOf(all, random)] : [],
    crashes: crashesOf(correct, random),
    epochs: epochsOf(shuffled, random),
    bundles: random.between(6, 22),
  };
}

/** In half of the runs sampling is far too weak on purpose: then everything rests on votes and the log. */
function paramsOf(nodes: number, delayMaxMs: number, random: Random): AvalancheParams {
  const patienceMs = random.pick([150, 400, 1_000, 2_000]);
  const common = {
    patienceMs,
    resolveAfterMs: patienceMs + random.pick([50, 300, 1_000, 3_000]),
    // An answer takes two delays: with less nobody would ever be heard in time.
    queryTimeoutMs: Math.max(2 * delayMaxMs + 50, random.pick([200, 500, 1_000])),
    concurrentPolls: random.between(1, 4),
    beta: random.pick([2, 3, 5, 12, 20]),
  };
  if (random.chance(0.5)) return deriveParams(nodes, common);
  const sampleSize = random.between(Math.min(3, nodes), nodes);
  const confidenceThreshold = Math.floor(sampleSize / 2) + 1;
  return deriveParams(nodes, { ...common, sampleSize, confidenceThreshold, finalizationPpm: 500_000 });
}

function partitionOf(all: readonly ValidatorIndex[], random: Random): DagPlan["partitions"][number] {
  const fromMs = random.between(500, CHAOS_MS / 2);
  const size = random.between(1, Math.max(1, Math.floor(all.length / 2)));
  return { fromMs, untilMs: random.between(fromMs + 200, CHAOS_MS), minority: random.shuffled(all).slice(0, size) };
}

function crashesOf(correct: readonly ValidatorIndex[], random: Random): DagPlan["crashes"] {
  const count = random.pick([0, 0, 1, 2, 4]);
  return Array.from({ length: count }, () => {
    const atMs = random.between(300, CHAOS_MS - 500);
    const effects = random.chance(0.5) ? random.below(4) : null;
    return { member: random.pick(correct), atMs, untilMs: random.between(atMs + 1, CHAOS_MS), effects };
  });
}

function epochsOf(all: readonly ValidatorIndex[], random: Random): DagPlan["epochs"] {
  const count = random.pick([0, 0, 1, 2]);
  const times = Array.from({ length: count }, () => random.between(500, CHAOS_MS)).sort((left, right) => left - right);
  // Only one is replaced: a liar or not.
  return times.map((atMs, at) => ({ atMs, gone: at === 0 && random.chance(0.4) ? random.pick(all) : null }));
}
